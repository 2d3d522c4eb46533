//! The options of the listing modes, which print targets or groups and run nothing.

use std::num::NonZeroUsize;

use clap::Args;

use super::at_least_one;

/// The options of the listing modes.
#[derive(Debug, Default, Args)]
pub struct ListingArgs {
    /// Print one target on each line and run nothing; with the listing options, words are expressions, and options may
    /// follow them
    #[arg(long = "list", group = "listing", help_heading = "Listing")]
    pub list: bool,

    /// Print all targets on one line
    #[arg(long = "expand", group = "listing", help_heading = "Listing")]
    pub expand: bool,

    /// Print all targets as one node set
    #[arg(long = "fold", group = "listing", help_heading = "Listing")]
    pub fold: bool,

    /// Print the number of targets
    #[arg(long = "count", group = "listing", help_heading = "Listing")]
    pub count: bool,

    /// Print one node set, in terms of groups where they are complete
    #[arg(
        short = 'r',
        long = "regroup",
        group = "listing",
        help_heading = "Listing"
    )]
    pub regroup: bool,

    /// Print the names of all groups, or of those of SOURCE; with -v, their hosts
    #[arg(long = "groups", value_name = "SOURCE", num_args = 0..=1, require_equals = true, default_missing_value = "", conflicts_with_all = ["list", "expand", "fold", "count", "regroup", "command"], help_heading = "Listing")]
    pub groups: Option<String>,

    /// Text between targets [default: a newline for --list, a space for --expand]
    #[arg(
        long = "separator",
        value_name = "TEXT",
        requires = "listing",
        help_heading = "Listing"
    )]
    pub separator: Option<String>,

    /// Print N parts of about equal size, one after the other [default: 1]
    #[arg(
        long = "split",
        value_name = "N",
        value_parser = at_least_one::<NonZeroUsize>,
        requires = "listing",
        help_heading = "Listing"
    )]
    pub split: Option<NonZeroUsize>,
}
