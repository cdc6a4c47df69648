//! The global filter beside rustfft and realfft, one thread: `cargo bench -p edgelip-kernels --features std --bench fourier`.
//!
//! `cargo run --release -p edgelip-kernels --features std --example fourier` prints the ratios in one table.

mod peers;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use edgelip_kernels::Kernels;
use peers::{GRIDS, Ours, Peer, Problem, RealFft, RustFft, WIDTHS, check};

fn filters(criterion: &mut Criterion) {
    for side in GRIDS {
        for width in WIDTHS {
            let mut group = criterion.benchmark_group(format!("filter {side}x{side} x {width}"));
            group.throughput(Throughput::Elements((side * side * width) as u64));
            let mut peers: Vec<Box<dyn Peer>> = vec![
                Box::new(RustFft::new(Problem::new(side, width))),
                Box::new(RealFft::new(Problem::new(side, width))),
            ];
            for kernels in Kernels::available() {
                peers.push(Box::new(Ours::new(kernels, Problem::new(side, width))));
            }
            check(&mut peers);
            for mut peer in peers {
                group.bench_function(BenchmarkId::from_parameter(peer.name()), |bencher| bencher.iter(|| peer.run()));
            }
        }
    }
}

criterion_group!(benches, filters);
criterion_main!(benches);
