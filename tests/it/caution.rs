//! The options of caution: `--skip-down`.

mod skip_down;
