use edgelip_kernels::{FRACTION, Kernels, TAPS};

use crate::{Random, instruction_sets};

const GENERIC: Kernels = Kernels::generic();

fn bytes(random: &mut Random, len: usize) -> Vec<u8> {
    (0..len).map(|_| (random.normal() * 90.0 + 128.0) as u8).collect()
}

/// Weights of both signs that add up to about one, or to more than bytes can hold.
fn weights(random: &mut Random, len: usize) -> Vec<i32> {
    let scale = (1 << FRACTION) as f32 / (len as f32).sqrt();
    (0..len).map(|_| ((random.normal() * 0.5 + 1.0) / (len as f32).sqrt() * scale) as i32).collect()
}

#[test]
fn a_line_is_filtered_the_same_everywhere() {
    let mut random = Random(91);
    for columns in [1, 7, 8, 9, 31, 100, 257] {
        let line = bytes(&mut random, 3 * columns);
        let longest = columns.min(40);
        let entry = 2 + longest.next_multiple_of(TAPS);
        let mut table = Vec::new();
        for first in 0..columns {
            let count = (1 + first * 7 % longest).min(columns - first);
            table.extend([first as i32, count as i32]);
            table.extend(weights(&mut random, count));
            table.resize((first + 1) * entry, 0);
        }
        let filtered = |kernels: Kernels| {
            let mut planes = [(); 3].map(|()| vec![255; columns + TAPS]);
            let [red, green, blue] = &mut planes;
            kernels.split_channels(&line, [red, green, blue]);
            let mut out = vec![[7; 3]; columns];
            kernels.filter_line(planes.each_ref().map(|plane| &plane[..]), &table, entry, &mut out);
            out
        };
        let ought = filtered(GENERIC);
        for kernels in instruction_sets() {
            assert_eq!(filtered(kernels), ought, "{} of {columns} columns", kernels.name());
        }
        let by_hand = |pixel: usize, channel: usize| {
            let [first, count, ref weights @ ..] = table[pixel * entry..][..entry] else { panic!("an entry") };
            let columns = line.iter().skip(3 * first as usize + channel).step_by(3).take(count as usize);
            let sum: f64 = columns.zip(weights).map(|(&byte, &weight)| f64::from(byte) * f64::from(weight)).sum();
            (sum / f64::from(1 << FRACTION)).clamp(0.0, 255.0)
        };
        for (pixel, channels) in ought.iter().enumerate() {
            for (channel, byte) in channels.iter().enumerate() {
                assert!((f64::from(*byte) - by_hand(pixel, channel)).abs() <= 0.5 + 1e-9);
            }
        }
    }
}

#[test]
fn lines_are_added_the_same_everywhere() {
    let mut random = Random(92);
    for len in 0..=70 {
        let lines: Vec<_> = (0..5).map(|_| bytes(&mut random, len)).collect();
        let weights = weights(&mut random, lines.len());
        let added = |kernels: Kernels| {
            let mut out = vec![7; len];
            let weighted = lines.iter().map(|line| &line[..]).zip(weights.iter().copied());
            kernels.filter_lines(weighted, &mut vec![-1; len], &mut out);
            out
        };
        for kernels in instruction_sets() {
            assert_eq!(added(kernels), added(GENERIC), "{} of {len}", kernels.name());
        }
    }
}

#[test]
fn what_is_not_there_is_not_read() {
    for kernels in Kernels::available() {
        let mut out = [[7; 3]; 2];
        kernels.filter_line([&[]; 3], &[], 10, &mut out);
        kernels.split_channels(&[1, 2], [&mut [], &mut [9], &mut [9]]);
        assert_eq!(out, [[7; 3]; 2], "{}", kernels.name());
    }
}
