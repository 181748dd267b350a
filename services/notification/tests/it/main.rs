//! The notification service with real files and real SMTP conversations.

mod faults;
mod http;
mod maildir;
mod manifest;
mod order;
mod smtp;
mod smtp_server;
mod world;
