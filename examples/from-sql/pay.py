"""With psycopg, in Python. Needs: pip install "psycopg[binary]"."""

import os
import sys

import psycopg
from psycopg.types.json import Jsonb

invoice = sys.argv[1]
paid = {"entry": "pay", "type": "billing.paid", "key": invoice, "data": {"invoice": invoice}}

# Leaving the block commits, and an exception rolls back.
with psycopg.connect(os.environ["DATABASE_URL"]) as conn:
    conn.execute("insert into invoice (number) values (%s)", [invoice])
    conn.execute("select pavane_emit(%s)", [Jsonb(paid)])
