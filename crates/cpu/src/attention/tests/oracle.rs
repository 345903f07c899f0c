//! The definition of correct: attention of one head in plain f64 loops, with bounds on what rounding may change.

/// One head: `queries` and `keys` rows of `dim` values each.
pub(super) struct Problem<'a> {
    pub(super) dim: usize,
    /// `[queries, dim]`.
    pub(super) q: &'a [f64],
    /// `[keys, dim]`.
    pub(super) k: &'a [f64],
    /// `[keys, dim]`.
    pub(super) v: &'a [f64],
    /// What the probability of (query, key) is multiplied by: 0 or the dropout's scale.
    pub(super) mask: &'a dyn Fn(usize, usize) -> f64,
    /// Unit roundoff of the storage type, which probabilities and their gradients may also be rounded to.
    pub(super) roundoff: f64,
    /// What may vanish by underflow when stored.
    pub(super) underflow: f64,
}

/// Values and how far off each may be.
#[derive(Clone, Debug, Default)]
pub(super) struct Bounded {
    pub(super) values: Vec<f64>,
    pub(super) tolerance: Vec<f64>,
}

impl Bounded {
    fn zeros(len: usize) -> Bounded {
        Bounded { values: vec![0.0; len], tolerance: vec![0.0; len] }
    }

    fn add(&mut self, index: usize, value: f64, tolerance: f64) {
        self.values[index] += value;
        self.tolerance[index] += tolerance;
    }

    /// Allows for rounding the values to storage.
    fn stored(mut self, of: &Problem<'_>) -> Bounded {
        for (value, tolerance) in self.values.iter().zip(&mut self.tolerance) {
            *tolerance += of.roundoff * (value.abs() + *tolerance) + of.underflow;
        }
        self
    }
}

const F32_ROUNDOFF: f64 = 1.0 / (1 << 24) as f64;

pub(super) struct Gradients {
    pub(super) q: Bounded,
    pub(super) k: Bounded,
    pub(super) v: Bounded,
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn dot_of_magnitudes(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a * b).abs()).sum()
}

impl Problem<'_> {
    pub(super) fn queries(&self) -> usize {
        self.q.len() / self.dim
    }

    pub(super) fn keys(&self) -> usize {
        self.k.len() / self.dim
    }

    fn row<'a>(&self, values: &'a [f64], row: usize) -> &'a [f64] {
        &values[row * self.dim..][..self.dim]
    }

    /// A query's probabilities, its log-sum-exp, and the relative error that f32 arithmetic may give a probability.
    fn probabilities(&self, query: usize) -> (Vec<f64>, f64, f64) {
        let scale = 1.0 / (self.dim as f64).sqrt();
        let q = self.row(self.q, query);
        let scores: Vec<f64> = (0..self.keys()).map(|key| scale * dot(q, self.row(self.k, key))).collect();
        let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = scores.iter().map(|score| (score - largest).exp()).sum();
        let log_sum_exp = largest + sum.ln();
        let bound = (0..self.keys()).map(|key| scale * dot_of_magnitudes(q, self.row(self.k, key))).fold(0.0, f64::max);
        // `dim` products summed in any order, times the few roundings of scaling, shifting and the exponential; and a
        // sum of `keys` terms.
        let error = F32_ROUNDOFF * ((self.dim as f64 + 8.0) * (bound + log_sum_exp.abs()) + self.keys() as f64 + 16.0);
        (scores.iter().map(|score| (score - log_sum_exp).exp()).collect(), log_sum_exp, error)
    }

    /// The output `[queries, dim]` and the log-sum-exp `[queries]`.
    pub(super) fn forward(&self) -> (Bounded, Bounded) {
        let mut output = Bounded::zeros(self.queries() * self.dim);
        let mut statistics = Bounded::zeros(self.queries());
        for query in 0..self.queries() {
            let (probabilities, log_sum_exp, error) = self.probabilities(query);
            statistics.add(query, log_sum_exp, error + 4.0 * F32_ROUNDOFF * (1.0 + log_sum_exp.abs()));
            for (key, probability) in probabilities.iter().enumerate() {
                for (column, v) in self.row(self.v, key).iter().enumerate() {
                    let term = probability * (self.mask)(query, key) * v;
                    output.add(query * self.dim + column, term, term.abs() * (self.roundoff + error));
                }
            }
        }
        (output.stored(self), statistics)
    }

    /// The gradients for `d_out` `[queries, dim]`, by the formulas.
    pub(super) fn backward(&self, d_out: &[f64]) -> Gradients {
        let scale = 1.0 / (self.dim as f64).sqrt();
        let (output, _) = self.forward();
        let [mut d_q, mut d_k, mut d_v] = [self.q, self.k, self.v].map(|of| Bounded::zeros(of.len()));
        for query in 0..self.queries() {
            let (probabilities, _, error) = self.probabilities(query);
            let (d_o, o) = (self.row(d_out, query), self.row(&output.values, query));
            let d = dot(d_o, o);
            let d_error = (self.roundoff + error) * dot_of_magnitudes(d_o, o)
                + dot_of_magnitudes(d_o, self.row(&output.tolerance, query));
            for (key, probability) in probabilities.iter().enumerate() {
                let (k, v, mask) = (self.row(self.k, key), self.row(self.v, key), (self.mask)(query, key));
                let d_s = scale * probability * (mask * dot(d_o, v) - d);
                let d_s_error = (self.roundoff + error) * d_s.abs()
                    + scale * probability * (d_error + error * mask * dot_of_magnitudes(d_o, v));
                for column in 0..self.dim {
                    let (at_query, at_key) = (query * self.dim + column, key * self.dim + column);
                    let q = self.q[at_query];
                    d_q.add(at_query, d_s * k[column], (d_s_error + error * d_s.abs()) * k[column].abs());
                    d_k.add(at_key, d_s * q, (d_s_error + error * d_s.abs()) * q.abs());
                    let term = probability * mask * d_o[column];
                    d_v.add(at_key, term, term.abs() * (self.roundoff + 2.0 * error));
                }
            }
        }
        Gradients { q: d_q.stored(self), k: d_k.stored(self), v: d_v.stored(self) }
    }
}

#[test]
fn the_formulas_of_the_gradients_agree_with_finite_differences() {
    const STEP: f64 = 1e-5;
    let (dim, queries, keys) = (3, 4, 5);
    let values = super::inputs::normal(1, (queries + 2 * keys + queries) * dim, 1.0);
    let values: Vec<f64> = values.iter().map(|&value| f64::from(value)).collect();
    let (d_out, inputs) = values.split_at(queries * dim);
    let mask = |query: usize, key: usize| if (query + 2 * key).is_multiple_of(3) { 0.0 } else { 1.5 };
    let loss = |inputs: &[f64], backward: bool| {
        let (q, rest) = inputs.split_at(queries * dim);
        let (k, v) = rest.split_at(keys * dim);
        let problem = Problem { dim, q, k, v, mask: &mask, roundoff: 0.0, underflow: 0.0 };
        let gradients = backward.then(|| problem.backward(d_out));
        (dot(&problem.forward().0.values, d_out), gradients)
    };
    let gradients = loss(inputs, true).1.unwrap();
    let formula = [gradients.q.values, gradients.k.values, gradients.v.values].concat();
    for (index, formula) in formula.into_iter().enumerate() {
        let at = |offset: f64| {
            let mut moved = inputs.to_vec();
            moved[index] += offset;
            loss(&moved, false).0
        };
        let difference = (at(STEP) - at(-STEP)) / (2.0 * STEP);
        assert!((difference - formula).abs() < 1e-8, "element {index}: {formula} against {difference}");
    }
}
