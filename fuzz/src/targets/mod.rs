//! One file per target.

pub mod apply;
pub mod capture;
pub mod capture_cme;
pub mod config;
pub mod decimal;
pub mod exchange_info;
pub mod feed;
pub mod feed_log;
pub mod frame;
pub mod market;
pub mod public_key;
pub mod record;
pub mod rest_request;
pub mod ring;
pub mod socket_request;
pub mod stream_control;
