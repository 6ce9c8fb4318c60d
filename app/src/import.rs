//! `instruments import`: an answer of exchangeInfo as tables of the configuration.

use std::io;
use std::path::Path;

use anyhow::Context;
use gateway::exchange_info::{import, to_toml};

/// Imports `file`, writes the report to `report` and, where asked, the instruments as
/// `[[instrument]]` tables to `out`, which is replaced as a whole.
///
/// False: at least one symbol was refused. Without any symbol left nothing is written.
pub fn import_to(
    file: &Path,
    out: Option<&Path>,
    report: &mut dyn io::Write,
) -> anyhow::Result<bool> {
    let imported = import(file)?;
    write!(report, "{imported}")?;
    if let Some(out) = out.filter(|_| !imported.instruments.is_empty()) {
        let mut new = out.as_os_str().to_owned();
        new.push(".new");
        std::fs::write(&new, to_toml(&imported.instruments))
            .and_then(|()| std::fs::rename(&new, out))
            .with_context(|| format!("cannot write {}", out.display()))?;
        writeln!(report, "written to {}", out.display())?;
    }
    Ok(imported.is_whole())
}

#[cfg(test)]
pub(crate) use tests::captured;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use std::path::PathBuf;

    /// The answer of 2021-10-12, 1,695 symbols, beside this repository or in `OUTCRY_CAPTURES`.
    pub(crate) fn captured() -> PathBuf {
        let folder = std::env::var_os("OUTCRY_CAPTURES").map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/captures"),
            PathBuf::from,
        );
        folder.join("binance-cryptofeed/binance_exchangeInfo_20211012.json.gz")
    }

    /// One symbol of which nothing is said but what must be.
    const ANSWER: &str = r#"{"symbols": [{"symbol": "ETHBTC", "status": "TRADING",
"baseAsset": "ETH", "baseAssetPrecision": 8, "quoteAsset": "BTC", "quotePrecision": 8,
"baseCommissionPrecision": 8, "quoteCommissionPrecision": 8, "orderTypes": ["LIMIT"],
"icebergAllowed": true, "ocoAllowed": true, "quoteOrderQtyMarketAllowed": true,
"isSpotTradingAllowed": true, "isMarginTradingAllowed": false, "permissions": ["SPOT"],
"filters": []}]}"#;

    #[test]
    fn an_import_reports_and_writes_tables_in_one_piece() {
        let folder = std::env::temp_dir().join(format!("outcry-import-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (file, out) = (folder.join("x.json"), folder.join("instruments.toml"));
        std::fs::write(&file, ANSWER).unwrap();
        let mut report = Vec::new();
        assert!(import_to(&file, Some(&out), &mut report).unwrap());
        assert!(report.starts_with(b"1 instruments imported, 0 refused\n"));
        let tables = std::fs::read_to_string(&out).unwrap();
        assert!(config::parse(&tables, "instruments.toml").is_ok());
        std::fs::write(&file, ANSWER.replace("TRADING", "AUCTION")).unwrap();
        let mut report = Vec::new();
        assert!(!import_to(&file, Some(&out), &mut report).unwrap());
        assert_eq!(std::fs::read_to_string(&out).unwrap(), tables, "nothing changes");
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 2);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
