//! The store on real servers, also when they fail.

fn main() {}
