# Runs a server that cannot outlive the process that holds the other end of standard input.
# Arguments: a folder to remove when that process is gone (or nothing), the signal that ends the server, the command line.
# Standard input: one signal name a line, sent on to the server; its end ends the server.
folder=$1 last=$2
shift 2
exec 3<&0
"$@" </dev/null 3<&- &
server=$!
# When the process that holds us dies while the server is stopped, the kernel hangs up on this whole group.
trap '' HUP
(
    while read -r signal; do kill -s "$signal" "$server"; done
    [ -z "$folder" ] || : >"$folder/orphaned"
    kill -s "$last" "$server"
    # One that stands still takes notice of nothing else.
    [ "$last" = KILL ] || kill -s CONT "$server"
) <&3 3<&- &
watch=$!
exec 3<&- </dev/null
wait "$server"
status=$?
kill "$watch"
if [ -n "$folder" ] && [ -e "$folder/orphaned" ]; then rm -rf "$folder"; fi
exit "$status"
