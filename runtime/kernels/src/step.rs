/// What a tower has just done, for those who measure it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Pixels or ids to tokens.
    Embed,
    /// The filter of a frequency block.
    Filter,
    /// A LayerNorm.
    Norm,
    /// Queries, keys and values.
    Qkv,
    /// Softmax attention.
    Attention,
    /// The layer behind attention, and its residual.
    Out,
    /// The guide of a merge.
    Guide,
    /// A merge's search for pairs.
    Match,
    /// A merge's means of tokens.
    Merge,
    /// The MLP's first layer and its activation.
    Fc1,
    /// The MLP's second layer, and its residual.
    Fc2,
    /// The last norm and the projection to the embedding.
    Project,
    /// A block is through; what follows belongs to the next one.
    Block,
}

impl Step {
    /// The step's name in tables: `embed`, `filter`, `norm`, `qkv`, …
    pub const fn name(self) -> &'static str {
        match self {
            Step::Embed => "embed",
            Step::Filter => "filter",
            Step::Norm => "norm",
            Step::Qkv => "qkv",
            Step::Attention => "attention",
            Step::Out => "out",
            Step::Guide => "guide",
            Step::Match => "match",
            Step::Merge => "merge",
            Step::Fc1 => "fc1",
            Step::Fc2 => "fc2",
            Step::Project => "project",
            Step::Block => "block",
        }
    }
}
