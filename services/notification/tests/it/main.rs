//! The notification service with real files and real SMTP conversations.

mod maildir;
mod manifest;
mod order;
mod served;
mod smtp;
mod smtp_server;
mod world;
