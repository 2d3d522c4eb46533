//! Other programs that this one is if it is called by their names, beside the programs themselves where they are
//! installed.

mod clustershell;
mod pdcp;
mod pdsh;
mod pdsh_hosts;
mod pdsh_reference;
