//! The binary `outcry`: configuration, wiring of threads, subcommands. It knows every crate and no
//! rule of any field.

pub mod capture;
pub mod check;
pub mod cli;
pub mod commands;
pub mod config;
pub mod events;
pub mod explain;
pub mod feed;
pub mod import;

pub mod load;
pub mod market;
pub mod node;
pub mod offline;
pub mod ops;
pub mod progress;
pub mod replay;
pub mod seal;
pub mod serve;
pub mod simulate;
pub mod slot;
pub mod story;
pub mod verify;
