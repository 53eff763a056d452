//! Several jobs over one read: each must give what it gives alone.

mod chunks;
mod flows;
mod subsets;
mod world;
