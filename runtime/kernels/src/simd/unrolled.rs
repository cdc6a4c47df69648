//! Loops that are unrolled, so that registers can stand for what they count.

/// Evaluates `$call` with the constant `$m` equal to `$rows`, up to a maximum.
macro_rules! for_rows {
    ($rows:expr, $max:expr, $m:ident => $call:expr) => {
        for_rows!(@arms $rows, $max, $m, $call, 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16)
    };
    (@arms $rows:expr, $max:expr, $m:ident, $call:expr, $($n:literal)*) => {
        match $rows {
            $($n => {
                if const { $n <= $max } {
                    const $m: usize = $n;
                    $call
                }
            })*
            _ => {}
        }
    };
}
pub(crate) use for_rows;

/// Does `$work` for each `$chunk` of a slice, one after the other: four in a round of the loop, whose own work is not that little.
macro_rules! by_fours {
    ($chunks:expr, $chunk:ident => $work:expr) => {
        let (fours, rest) = $chunks.as_chunks::<4>();
        for four in fours {
            for $chunk in four {
                $work;
            }
        }
        for $chunk in rest {
            $work;
        }
    };
}
pub(crate) use by_fours;

/// Does `$work` for each constant `$m` below `$rows`, at most 16: a loop that is unrolled whatever the compiler thinks of it.
macro_rules! for_each {
    ($rows:expr, $m:ident => $work:expr) => {
        for_each!(@each $rows, $m, $work, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15)
    };
    (@each $rows:expr, $m:ident, $work:expr, $($n:literal)*) => {
        $(if const { $n < $rows } {
            #[allow(non_upper_case_globals, reason = "it stands for a loop's variable")]
            const $m: usize = $n;
            $work
        })*
    };
}
pub(crate) use for_each;
