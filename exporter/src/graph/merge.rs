//! Token merging in plain operators; docs/token-merging.md has the rule. There is no scatter and no loop: sources are
//! added to their targets by a product with a one-hot matrix, and what stays is gathered in the order of sort keys.

use edgelip::onnx::{Attribute, ElementType};

use super::Merge;
use super::builder::{Graph, Value};

/// Tokens on their way through a merge.
pub(super) struct Tokens<'v> {
    /// `[N, count, width]`, after the attention's residual.
    pub rows: &'v Value,
    /// Keys of all heads side by side, `[N, count, width]`.
    pub keys: &'v Value,
    /// Patches each token stands for, `[N, count, 1]`; `None` if it is one for all.
    pub sizes: Option<&'v Value>,
    pub count: usize,
    pub width: usize,
    pub heads: usize,
}

/// The pairs chosen to merge.
struct Pairs {
    /// Which even token each source is, `[N, r]`.
    sources: Value,
    /// One where a target (second axis) takes a source (third axis), `[N, targets, r]`.
    assignment: Value,
}

/// Even and odd positions of a value.
struct Halves {
    even: Value,
    odd: Value,
}

impl Graph<'_> {
    /// Merges `r` tokens into others: rows `[N, count − r, width]` and sizes `[N, count − r, 1]`.
    pub fn merge(&mut self, rule: Merge, tokens: &Tokens<'_>, r: usize) -> [Value; 2] {
        let norms = (rule == Merge::Ward).then(|| self.normalize("merge/tokens", tokens.rows));
        let scores = match &norms {
            Some([units, _]) => self.ward_scores(tokens, units),
            None => self.tome_scores(tokens),
        };
        let pairs = self.choose(&scores, tokens.count, r);
        let rows = self.halves("merge/rows", tokens.rows, tokens.count);
        let sizes = tokens.sizes.map(|sizes| self.halves("merge/sizes", sizes, tokens.count));

        let moved = self.rows("merge/moved", &rows.even, &pairs.sources);
        let (sum, new_sizes) = self.totals(&rows.odd, sizes.as_ref(), &moved, &pairs);
        let merged = match &norms {
            Some([_, norms]) => self.rescale(&sum, norms, &pairs, tokens.count),
            None => self.node("Div", "merge/mean", &[&sum, &new_sizes]),
        };
        let stay = self.staying(rule, &pairs, tokens.count, r);
        let all = self.concat("merge/all", 1, &[&rows.even, &merged]);
        let all_sizes = match &sizes {
            Some(sizes) => self.concat("merge/all_sizes", 1, &[&sizes.even, &new_sizes]),
            None => {
                let (pads, one) = (self.ints(&[0, tokens.count.div_ceil(2) as i64, 0, 0, 0, 0]), self.float(1.0));
                self.node("Pad", "merge/all_sizes", &[&new_sizes, &pads, &one])
            }
        };
        [self.rows("merge/kept", &all, &stay), self.rows("merge/kept_sizes", &all_sizes, &stay)]
    }

    /// `−(1 − sim) · p_i p_j / (p_i + p_j)` of each source but the class token with each target, `[N, sources,
    /// targets]`.
    fn ward_scores(&mut self, tokens: &Tokens<'_>, token_units: &Value) -> Value {
        let [key_units, _] = self.normalize("merge/keys", tokens.keys);
        let by_key = self.cosines("merge/keys", &key_units, tokens.count);
        let by_token = self.cosines("merge/tokens", token_units, tokens.count);
        let (half, one) = (self.float(0.5), self.float(1.0));
        let sum = self.node("Add", "merge/cosines", &[&by_key, &by_token]);
        let similarity = self.node("Mul", "merge/similarity", &[&sum, &half]);
        let distance = self.node("Sub", "merge/distance", &[&similarity, &one]);
        let Some(sizes) = tokens.sizes else {
            // The weights of two tokens of size one.
            return self.node("Mul", "merge/scores", &[&distance, &half]);
        };
        let root = self.node("Sqrt", "merge/sizes/root", &[sizes]);
        let root_of_root = self.node("Sqrt", "merge/sizes/root_of_root", &[&root]);
        let soft = self.node("Mul", "merge/sizes/soft", &[&root, &root_of_root]);
        let [sources, targets] = self.split_pairs("merge/sizes/soft", &soft, tokens.count);
        let product = self.node("Mul", "merge/sizes/product", &[&sources, &targets]);
        let sum = self.node("Add", "merge/sizes/sum", &[&sources, &targets]);
        let weight = self.node("Div", "merge/sizes/weight", &[&product, &sum]);
        self.node("Mul", "merge/scores", &[&distance, &weight])
    }

    /// Cosines of the keys' means over the heads, `[N, sources, targets]`.
    fn tome_scores(&mut self, tokens: &Tokens<'_>) -> Value {
        let (heads, width) = (tokens.heads as i64, (tokens.width / tokens.heads) as i64);
        let split = self.reshape("merge/keys/heads", tokens.keys, &[0, 0, heads, width]);
        let attributes = [("axes", Attribute::Ints(vec![2])), ("keepdims", Attribute::Int(0))];
        let mean = self.node_with("ReduceMean", "merge/keys/mean", &[&split], &attributes);
        let [units, _] = self.normalize("merge/keys", &mean);
        self.cosines("merge/keys", &units, tokens.count)
    }

    /// Inner products of unit vectors at even positions, the class token's left out, and at odd ones.
    fn cosines(&mut self, name: &str, units: &Value, count: usize) -> Value {
        let [sources, targets] = self.split_pairs(name, units, count);
        self.node("MatMul", &format!("{name}/cosines"), &[&sources, &targets])
    }

    /// `[N, sources, …]`, even positions without the class token, and `[N, …, targets]`, odd ones.
    fn split_pairs(&mut self, name: &str, x: &Value, count: usize) -> [Value; 2] {
        let sources = self.slice(&format!("{name}/sources"), x, 1, 2, count as i64, 2);
        let odd = self.slice(&format!("{name}/odd"), x, 1, 1, count as i64, 2);
        [sources, self.transpose(&format!("{name}/targets"), &odd, &[0, 2, 1])]
    }

    fn halves(&mut self, name: &str, x: &Value, count: usize) -> Halves {
        let [even, odd] = [("even", 0), ("odd", 1)]
            .map(|(part, start)| self.slice(&format!("{name}/{part}"), x, 1, start, count as i64, 2));
        Halves { even, odd }
    }

    /// Each source's best target, and the `r` best sources. Ties go to the lower index, in `ArgMax` as in `TopK`.
    fn choose(&mut self, scores: &Value, count: usize, r: usize) -> Pairs {
        let best = self.reduce("ReduceMax", "merge/best", scores, -1);
        let best = self.reshape("merge/best/flat", &best, &[0, -1]);
        let attributes = [("axis", Attribute::Int(-1)), ("keepdims", Attribute::Int(0))];
        let partners = self.node_with("ArgMax", "merge/partners", &[scores], &attributes);
        let [_, chosen] = self.top_k("merge/chosen", &best, r, true);
        let targets =
            self.node_with("GatherElements", "merge/targets", &[&partners, &chosen], &[("axis", Attribute::Int(1))]);
        let matches = self.one_hot("merge/assignment", &targets, count / 2);
        let assignment = self.transpose("merge/assignment", &matches, &[0, 2, 1]);
        // The class token is even too, and comes first.
        let one = self.ints(&[1]);
        let sources = self.node("Add", "merge/sources", &[&chosen, &one]);
        Pairs { sources, assignment }
    }

    /// `[N, r, length]` in f32: one where `indices [N, r]` say.
    fn one_hot(&mut self, name: &str, indices: &Value, length: usize) -> Value {
        let column = self.reshape(&format!("{name}/column"), indices, &[0, 0, 1]);
        let range = self.range(length);
        let equal = self.node("Equal", &format!("{name}/equal"), &[&column, &range]);
        self.cast(&format!("{name}/one_hot"), &equal, ElementType::F32)
    }

    /// Size-weighted sums and sizes of each target with its sources: `[N, targets, width]` and `[N, targets, 1]`.
    fn totals(&mut self, targets: &Value, sizes: Option<&Halves>, moved: &Value, pairs: &Pairs) -> (Value, Value) {
        let assignment = &pairs.assignment;
        let Some(sizes) = sizes else {
            let gain = self.node("MatMul", "merge/gain", &[assignment, moved]);
            let sum = self.node("Add", "merge/sum", &[targets, &gain]);
            let (last, one) = (self.ints(&[-1]), self.float(1.0));
            let counts =
                self.node_with("ReduceSum", "merge/counts", &[assignment, &last], &[("keepdims", Attribute::Int(1))]);
            return (sum, self.node("Add", "merge/sizes/total", &[&counts, &one]));
        };
        let moved_sizes = self.rows("merge/moved_sizes", &sizes.even, &pairs.sources);
        let weighted = self.node("Mul", "merge/moved/weighted", &[moved, &moved_sizes]);
        let gain = self.node("MatMul", "merge/gain", &[assignment, &weighted]);
        let own = self.node("Mul", "merge/own", &[targets, &sizes.odd]);
        let sum = self.node("Add", "merge/sum", &[&own, &gain]);
        let counts = self.node("MatMul", "merge/counts", &[assignment, &moved_sizes]);
        (sum, self.node("Add", "merge/sizes/total", &[&sizes.odd, &counts]))
    }

    /// Sums scaled to the largest norm among their members. Dividing them by their sizes before would change nothing.
    fn rescale(&mut self, sum: &Value, norms: &Value, pairs: &Pairs, count: usize) -> Value {
        let norms = self.halves("merge/norms", norms, count);
        let moved = self.rows("merge/moved_norms", &norms.even, &pairs.sources);
        let moved = self.transpose("merge/moved_norms/row", &moved, &[0, 2, 1]);
        let members = self.node("Mul", "merge/norms/members", &[&pairs.assignment, &moved]);
        let largest = self.reduce("ReduceMax", "merge/norms/moved", &members, -1);
        let largest = self.node("Max", "merge/norms/largest", &[&largest, &norms.odd]);
        let norm = self.reduce("ReduceL2", "merge/norms/sum", sum, -1);
        let least = self.float(1e-12);
        let norm = self.node("Max", "merge/norms/divisor", &[&norm, &least]);
        let factor = self.node("Div", "merge/norms/factor", &[&largest, &norm]);
        self.node("Mul", "merge/rescaled", &[sum, &factor])
    }

    /// Which of the even and then the odd tokens stay, in their new order: `[N, count − r]`.
    fn staying(&mut self, rule: Merge, pairs: &Pairs, count: usize, r: usize) -> Value {
        let even = (0..count).step_by(2);
        let order: Vec<f32> = match rule {
            Merge::Ward => even.chain((1..count).step_by(2)).map(|position| position as f32).collect(),
            Merge::Tome | Merge::None => (0..count).map(|index| index as f32).collect(),
        };
        let keys = self.floats(
            &format!("keys.{}.{count}", if rule == Merge::Ward { "ward" } else { "tome" }),
            &[count],
            &order,
        );
        let one_hot = self.one_hot("merge/gone", &pairs.sources, count);
        let attributes = [("axes", Attribute::Ints(vec![1])), ("keepdims", Attribute::Int(0))];
        let gone = self.node_with("ReduceMax", "merge/gone", &[&one_hot], &attributes);
        let beyond = self.float(count as f32);
        let shifted = self.node("Mul", "merge/gone/shifted", &[&gone, &beyond]);
        let keys = self.node("Add", "merge/stay/keys", &[&shifted, &keys]);
        let [_, stay] = self.top_k("merge/stay", &keys, count - r, false);
        stay
    }
}
