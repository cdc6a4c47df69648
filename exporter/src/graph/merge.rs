//! Token merging in plain operators; docs/token-merging.md has the rule. There is no scatter and no loop: sources are
//! added to their targets by a product with a one-hot matrix, and what stays is gathered in the order of sort keys.

use edgelip::onnx::{Attribute, ElementType};

use super::Merge;
use super::builder::{Graph, Value};
use super::guide::Guidance;

/// Tokens on their way through a merge.
pub(super) struct Tokens<'v> {
    /// `[N, count, width]`, after the attention's residual.
    pub rows: &'v Value,
    /// Keys of all heads side by side, `[N, count, width]`.
    pub keys: &'v Value,
    /// Patches each token stands for, `[N, count, 1]`; `None` if it is one for all.
    pub sizes: Option<&'v Value>,
    pub count: usize,
    /// How many of them come first and never merge: the class token, if there is one.
    pub class_tokens: usize,
    pub width: usize,
    pub heads: usize,
    /// What keeps informative tokens from merging.
    pub guidance: Option<Guidance<'v>>,
}

/// Tokens behind a merge.
pub(super) struct Merged {
    /// `[N, count − r, width]`.
    pub rows: Value,
    /// `[N, count − r, 1]`.
    pub sizes: Value,
    /// High-frequency energies `[N, count − r, 1]`, if a later merge needs them.
    pub energy: Option<Value>,
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

/// Sizes of the tokens once they are not all one.
struct Sizes {
    halves: Halves,
    /// Those of the sources that merge, `[N, r, 1]`.
    moved: Value,
}

impl Graph<'_> {
    /// Merges `r` tokens into others.
    pub fn merge(&mut self, rule: Merge, tokens: &Tokens<'_>, r: usize) -> Merged {
        let guided = tokens.guidance.as_ref();
        let norms = (rule == Merge::Ward || guided.is_some()).then(|| self.normalize("merge/tokens", tokens.rows));
        let stretch = guided.zip(norms.as_ref()).map(|(guidance, [units, _])| {
            let phi = self.guide(guidance, tokens, units);
            let [sources, targets] = self.split_pairs("merge/guide", &phi, tokens);
            self.stretch(guidance.guide.strength, [&sources, &targets])
        });
        let norms = norms.filter(|_| rule == Merge::Ward);
        let scores = match &norms {
            Some([units, _]) => self.ward_scores(tokens, units, stretch.as_ref()),
            None => self.tome_scores(tokens, stretch.as_ref()),
        };
        let pairs = self.choose(&scores, tokens, r);
        let rows = self.halves("merge/rows", tokens.rows, tokens.count);
        let sizes = tokens.sizes.map(|sizes| {
            let halves = self.halves("merge/sizes", sizes, tokens.count);
            let moved = self.rows("merge/moved_sizes", &halves.even, &pairs.sources);
            Sizes { halves, moved }
        });

        let new_sizes = self.new_sizes(sizes.as_ref(), &pairs);
        let sum = self.sums("merge", &rows, sizes.as_ref(), &pairs);
        let merged = match &norms {
            Some([_, norms]) => self.rescale(&sum, norms, &pairs, tokens.count),
            None => self.node("Div", "merge/mean", &[&sum, &new_sizes]),
        };
        let stay = self.staying(rule, &pairs, tokens.count, r);
        let all = self.concat("merge/all", 1, &[&rows.even, &merged]);
        let energy = guided.filter(|guidance| guidance.carry).map(|guidance| {
            let halves = self.halves("merge/energy", guidance.energy, tokens.count);
            let sum = self.sums("merge/energy", &halves, sizes.as_ref(), &pairs);
            let mean = self.node("Div", "merge/energy/mean", &[&sum, &new_sizes]);
            let all = self.concat("merge/energy/all", 1, &[&halves.even, &mean]);
            self.rows("merge/energy/kept", &all, &stay)
        });
        let all_sizes = match &sizes {
            Some(sizes) => self.concat("merge/all_sizes", 1, &[&sizes.halves.even, &new_sizes]),
            None => {
                let (pads, one) = (self.ints(&[0, tokens.count.div_ceil(2) as i64, 0, 0, 0, 0]), self.float(1.0));
                self.node("Pad", "merge/all_sizes", &[&new_sizes, &pads, &one])
            }
        };
        let rows = self.rows("merge/kept", &all, &stay);
        Merged { rows, sizes: self.rows("merge/kept_sizes", &all_sizes, &stay), energy }
    }

    /// `−(1 − sim) · stretch · p_i p_j / (p_i + p_j)` of each source but the class token with each target, `[N, sources,
    /// targets]`.
    fn ward_scores(&mut self, tokens: &Tokens<'_>, token_units: &Value, stretch: Option<&Value>) -> Value {
        let [key_units, _] = self.normalize("merge/keys", tokens.keys);
        let by_key = self.cosines("merge/keys", &key_units, tokens);
        let by_token = self.cosines("merge/tokens", token_units, tokens);
        let (half, one) = (self.float(0.5), self.float(1.0));
        let sum = self.node("Add", "merge/cosines", &[&by_key, &by_token]);
        let similarity = self.node("Mul", "merge/similarity", &[&sum, &half]);
        let mut distance = self.node("Sub", "merge/distance", &[&similarity, &one]);
        if let Some(stretch) = stretch {
            distance = self.node("Mul", "merge/distance/stretched", &[&distance, stretch]);
        }
        let Some(sizes) = tokens.sizes else {
            // The weights of two tokens of size one.
            return self.node("Mul", "merge/scores", &[&distance, &half]);
        };
        let root = self.node("Sqrt", "merge/sizes/root", &[sizes]);
        let root_of_root = self.node("Sqrt", "merge/sizes/root_of_root", &[&root]);
        let soft = self.node("Mul", "merge/sizes/soft", &[&root, &root_of_root]);
        let [sources, targets] = self.split_pairs("merge/sizes/soft", &soft, tokens);
        let product = self.node("Mul", "merge/sizes/product", &[&sources, &targets]);
        let sum = self.node("Add", "merge/sizes/sum", &[&sources, &targets]);
        let weight = self.node("Div", "merge/sizes/weight", &[&product, &sum]);
        self.node("Mul", "merge/scores", &[&distance, &weight])
    }

    /// Cosines of the keys' means over the heads, `[N, sources, targets]`; with a guide `−(1 − cos) · stretch`.
    fn tome_scores(&mut self, tokens: &Tokens<'_>, stretch: Option<&Value>) -> Value {
        let (heads, width) = (tokens.heads as i64, (tokens.width / tokens.heads) as i64);
        let split = self.reshape("merge/keys/heads", tokens.keys, &[0, 0, heads, width]);
        let attributes = [("axes", Attribute::Ints(vec![2])), ("keepdims", Attribute::Int(0))];
        let mean = self.node_with("ReduceMean", "merge/keys/mean", &[&split], &attributes);
        let [units, _] = self.normalize("merge/keys", &mean);
        let cosines = self.cosines("merge/keys", &units, tokens);
        let Some(stretch) = stretch else { return cosines };
        let one = self.float(1.0);
        let distance = self.node("Sub", "merge/distance", &[&cosines, &one]);
        self.node("Mul", "merge/scores", &[&distance, stretch])
    }

    /// Inner products of unit vectors at even positions, the class token's left out, and at odd ones.
    fn cosines(&mut self, name: &str, units: &Value, tokens: &Tokens<'_>) -> Value {
        let [sources, targets] = self.split_pairs(name, units, tokens);
        self.node("MatMul", &format!("{name}/cosines"), &[&sources, &targets])
    }

    /// `[N, sources, …]`, even positions without the class token, and `[N, …, targets]`, odd ones.
    fn split_pairs(&mut self, name: &str, x: &Value, tokens: &Tokens<'_>) -> [Value; 2] {
        let (first, count) = (2 * tokens.class_tokens as i64, tokens.count as i64);
        let sources = self.slice(&format!("{name}/sources"), x, 1, first, count, 2);
        let odd = self.slice(&format!("{name}/odd"), x, 1, 1, count, 2);
        [sources, self.transpose(&format!("{name}/targets"), &odd, &[0, 2, 1])]
    }

    fn halves(&mut self, name: &str, x: &Value, count: usize) -> Halves {
        let [even, odd] = [("even", 0), ("odd", 1)]
            .map(|(part, start)| self.slice(&format!("{name}/{part}"), x, 1, start, count as i64, 2));
        Halves { even, odd }
    }

    /// Each source's best target, and the `r` best sources. Ties go to the lower index, in `ArgMax` as in `TopK`.
    fn choose(&mut self, scores: &Value, tokens: &Tokens<'_>, r: usize) -> Pairs {
        let best = self.reduce("ReduceMax", "merge/best", scores, -1);
        let best = self.reshape("merge/best/flat", &best, &[0, -1]);
        let attributes = [("axis", Attribute::Int(-1)), ("keepdims", Attribute::Int(0))];
        let partners = self.node_with("ArgMax", "merge/partners", &[scores], &attributes);
        let [_, chosen] = self.top_k("merge/chosen", &best, r, true);
        let targets =
            self.node_with("GatherElements", "merge/targets", &[&partners, &chosen], &[("axis", Attribute::Int(1))]);
        let matches = self.one_hot("merge/assignment", &targets, tokens.count / 2);
        let assignment = self.transpose("merge/assignment", &matches, &[0, 2, 1]);
        if tokens.class_tokens == 0 {
            return Pairs { sources: chosen, assignment };
        }
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

    /// Sizes of the targets with their sources, `[N, targets, 1]`.
    fn new_sizes(&mut self, sizes: Option<&Sizes>, pairs: &Pairs) -> Value {
        let assignment = &pairs.assignment;
        let Some(sizes) = sizes else {
            let (last, one) = (self.ints(&[-1]), self.float(1.0));
            let counts =
                self.node_with("ReduceSum", "merge/counts", &[assignment, &last], &[("keepdims", Attribute::Int(1))]);
            return self.node("Add", "merge/sizes/total", &[&counts, &one]);
        };
        let counts = self.node("MatMul", "merge/counts", &[assignment, &sizes.moved]);
        self.node("Add", "merge/sizes/total", &[&sizes.halves.odd, &counts])
    }

    /// Size-weighted sums of the targets with their sources, `[N, targets, …]`.
    fn sums(&mut self, name: &str, values: &Halves, sizes: Option<&Sizes>, pairs: &Pairs) -> Value {
        let mut moved = self.rows(&format!("{name}/moved"), &values.even, &pairs.sources);
        let mut own = values.odd.clone();
        if let Some(sizes) = sizes {
            moved = self.node("Mul", &format!("{name}/moved/weighted"), &[&moved, &sizes.moved]);
            own = self.node("Mul", &format!("{name}/own"), &[&own, &sizes.halves.odd]);
        }
        let gain = self.node("MatMul", &format!("{name}/gain"), &[&pairs.assignment, &moved]);
        self.node("Add", &format!("{name}/sum"), &[&own, &gain])
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
