/// One register of floats, for kernels that need many at once. A value is proof that this CPU has the instructions.
pub trait Register: Copy {
    /// Floats in a register; [`crate::LANES`] is a multiple of it.
    const LANES: usize;
    /// A register's contents.
    type V: Copy;

    fn splat(self, x: f32) -> Self::V;
    /// # Safety
    /// [`Register::LANES`] floats lie at `from`.
    unsafe fn load(self, from: *const f32) -> Self::V;
    /// # Safety
    /// There is room for [`Register::LANES`] floats at `to`, which nothing else refers to.
    unsafe fn store(self, v: Self::V, to: *mut f32);
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a · b + c`
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `c - a · b`
    fn fnma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;

    /// Does some work in a function of its own, so that the compiler sees one kernel at a time.
    ///
    /// # Safety
    /// As the work's.
    unsafe fn apart<W: Work<Self>>(self, work: W);
}

/// A kernel and its operands.
pub trait Work<S: Register> {
    /// # Safety
    /// Says the type.
    unsafe fn run(self, s: S);
}

/// Makes a type a register: its lanes, its contents, features and instructions.
macro_rules! register {
    (
        $(#[$doc:meta])*
        $name:ident, $features:literal, $lanes:literal x $v:ty,
        $splat:ident $load:ident $store:ident $add:ident $sub:ident $mul:ident,
        |$a:ident, $b:ident, $c:ident| $fma:expr, $fnma:expr
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub struct $name(());

        impl crate::simd::register::Register for $name {
            const LANES: usize = $lanes;
            type V = $v;

            #[inline(always)]
            fn splat(self, x: f32) -> $v {
                // SAFETY: `self` proves the instructions.
                unsafe { $splat(x) }
            }

            #[inline(always)]
            unsafe fn load(self, from: *const f32) -> $v {
                // SAFETY: `self` proves the instructions; the floats are the caller's promise.
                unsafe { $load(from) }
            }

            #[inline(always)]
            unsafe fn store(self, v: $v, to: *mut f32) {
                // SAFETY: `self` proves the instructions; the room is the caller's promise.
                unsafe { $store(to, v) }
            }

            #[inline(always)]
            fn add(self, a: $v, b: $v) -> $v {
                // SAFETY: `self` proves the instructions.
                unsafe { $add(a, b) }
            }

            #[inline(always)]
            fn sub(self, a: $v, b: $v) -> $v {
                // SAFETY: `self` proves the instructions.
                unsafe { $sub(a, b) }
            }

            #[inline(always)]
            fn mul(self, a: $v, b: $v) -> $v {
                // SAFETY: `self` proves the instructions.
                unsafe { $mul(a, b) }
            }

            #[inline(always)]
            fn fma(self, $a: $v, $b: $v, $c: $v) -> $v {
                // SAFETY: `self` proves the instructions.
                unsafe { $fma }
            }

            #[inline(always)]
            fn fnma(self, $a: $v, $b: $v, $c: $v) -> $v {
                // SAFETY: `self` proves the instructions.
                unsafe { $fnma }
            }

            #[inline(always)]
            unsafe fn apart<W: crate::simd::register::Work<Self>>(self, work: W) {
                #[target_feature(enable = $features)]
                #[inline(never)]
                unsafe fn enabled<W: crate::simd::register::Work<$name>>(s: $name, work: W) {
                    // SAFETY: the caller's promise.
                    unsafe { work.run(s) }
                }
                // SAFETY: `self` proves the features; the rest is the caller's promise.
                unsafe { enabled(self, work) }
            }
        }

        impl $name {
            /// One panel of a filter, for tables.
            ///
            /// # Safety
            /// This CPU has the features, and the shapes have been checked.
            pub unsafe fn filter(filter: &crate::table::Filter, scratch: &mut [f32]) {
                use crate::simd::register::Register;
                // SAFETY: the caller's promise.
                unsafe { $name(()).apart(crate::simd::fourier::Panel { filter, scratch }) }
            }
        }
    };
}
pub(crate) use register;
