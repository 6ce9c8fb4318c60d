//! The binary `outcry`: configuration, wiring of threads, subcommands. It knows every crate and no
//! rule of any field.

pub mod capture;
pub mod check;
pub mod cli;
pub mod commands;
pub mod config;
pub mod events;
pub mod exchange_info;
pub mod gateway;
pub mod market;
pub mod node;
pub mod offline;
pub mod progress;
pub mod replay;
pub mod seal;
pub mod simulate;
pub mod story;
pub mod verify;
