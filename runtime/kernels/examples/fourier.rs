//! Prints how fast the global filter is beside rustfft and realfft: `cargo run --release --features std --example fourier`.
//!
//! All run on one thread and in turns, so that what else the machine does hits all of them; a turn has several calls, so that
//! the best of them finds its data in the cache. The others find each channel in a piece, as suits them; ours takes rows of
//! tokens, as an encoder has them.

#[path = "../benches/fourier/peers.rs"]
mod peers;

use std::time::{Duration, Instant};

use edgelip_kernels::Kernels;
use peers::{GRIDS, Ours, Peer, Problem, RealFft, RustFft, WIDTHS, check};

/// How long the peers of one problem take turns.
const TIME: Duration = Duration::from_millis(1500);

/// Calls of a turn.
const CALLS: usize = 5;

fn main() {
    let kernels: Vec<_> = Kernels::available().skip(1).filter(|kernels| !kernels.name().contains('-')).collect();
    print!("{:>7} {:>5}  {:>18}", "grid", "width", "rustfft, realfft µs");
    for kernels in &kernels {
        print!("  {:>10} µs  {:>13}", kernels.name(), "times faster");
    }
    println!();
    for side in GRIDS {
        for width in WIDTHS {
            let mut peers: Vec<Box<dyn Peer>> = vec![
                Box::new(RustFft::new(Problem::new(side, width))),
                Box::new(RealFft::new(Problem::new(side, width))),
            ];
            for kernels in &kernels {
                peers.push(Box::new(Ours::new(*kernels, Problem::new(side, width))));
            }
            check(&mut peers);
            let times = take_turns(&mut peers);
            print!("{side:>3}x{side:<3} {width:>5}  {:>9.1} {:>9.1}", times[0], times[1]);
            for ours in &times[2..] {
                print!("  {ours:>13.1}  {:>6.1} {:>6.1}", times[0] / ours, times[1] / ours);
            }
            println!();
        }
    }
}

/// Shortest time of each, in µs.
fn take_turns(peers: &mut [Box<dyn Peer>]) -> Vec<f64> {
    let mut best = vec![f64::INFINITY; peers.len()];
    let start = Instant::now();
    while start.elapsed() < TIME {
        for (peer, best) in peers.iter_mut().zip(&mut best) {
            for _ in 0..CALLS {
                let call = Instant::now();
                peer.run();
                *best = best.min(call.elapsed().as_secs_f64() * 1e6);
            }
        }
    }
    best
}
