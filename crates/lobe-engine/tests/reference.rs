//! Every operation and a small network against PyTorch. `reference/make.py`
//! wrote the numbers in f64 from inputs that f32 holds exactly.

mod common;

use common::{assert_close, plain_pass};
use lobe_engine::ops::attention::{AttentionSpec, Rotary};
use lobe_engine::ops::binary::Pair;
use lobe_engine::ops::distance::Distance;
use lobe_engine::ops::head::{HeadSpec, IGNORE, RowWeights};
use lobe_engine::ops::linear::{Act, LinearSpec};
use lobe_engine::ops::penalty::correlation;
use lobe_engine::ops::reduce::Over;
use lobe_engine::ops::unary::Function;
use lobe_engine::{EngineError, Layout, ParamId, Tape, Var};
use serde_json::Value;

/// Relative and absolute tolerance: f32 sums of some dozens of terms.
const REL: f32 = 2e-4;
const ABS: f32 = 1e-5;

fn load(text: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(text).expect("valid JSON");
    assert!(all["torch"].is_string(), "the reference names its version");
    all["cases"].as_array().expect("cases").clone()
}

fn floats(v: &Value) -> Vec<f32> {
    let list = v.as_array().expect("a list of numbers");
    list.iter().map(|x| x.as_f64().expect("a number") as f32).collect()
}

struct Case {
    v: Value,
    layout: Layout,
    params: Vec<f32>,
    rows: usize,
}

impl Case {
    fn new(v: Value) -> Case {
        let mut layout = Layout::default();
        let mut params = Vec::new();
        let mut rows = 1;
        for (name, t) in v["tensors"].as_object().expect("tensors") {
            let size = |i: usize| t[0][i].as_u64().expect("a size") as usize;
            layout.tensor(name, size(0), size(1)).add();
            params.extend(floats(&t[1]));
            if ["x", "h", "a"].contains(&name.as_str()) {
                rows = size(0);
            }
        }
        for ids in v["integers"].as_object().expect("integers").values() {
            rows = rows.max(ids.as_array().map_or(0, Vec::len));
        }
        Case { v, layout, params, rows }
    }
    fn name(&self) -> &str {
        self.v["name"].as_str().expect("a name")
    }
    fn p(&self, name: &str) -> ParamId {
        self.layout.find(name).expect("the tensor exists")
    }
    fn leaf(&self, t: &mut Tape<'_>, name: &str) -> Var {
        t.leaf(self.p(name))
    }
    fn n(&self, key: &str) -> usize {
        self.v["spec"][key].as_u64().expect("an integer") as usize
    }
    fn f(&self, key: &str) -> f32 {
        self.v["spec"][key].as_f64().expect("a number") as f32
    }
    fn flag(&self, key: &str) -> bool {
        self.v["spec"][key].as_bool().expect("a flag")
    }
    fn word(&self, key: &str) -> &str {
        self.v["spec"][key].as_str().expect("a word")
    }
    fn range(&self, key: &str) -> std::ops::Range<usize> {
        let at = |i: usize| self.v["spec"][key][i].as_u64().expect("a bound") as usize;
        at(0)..at(1)
    }
    fn ids(&self, key: &str) -> Vec<u32> {
        let list = self.v["integers"][key].as_array().expect("integers");
        list.iter().map(|i| i.as_u64().map_or(IGNORE, |i| i as u32)).collect()
    }
    fn given(&self, key: &str) -> Option<Vec<f32>> {
        self.v["floats"].get(key).map(floats)
    }
    fn head(&self) -> HeadSpec {
        HeadSpec {
            weight: self.p("weight"),
            tied: self.flag("tied"),
            bias: self.layout.find("bias"),
            scale: self.f("scale"),
        }
    }

    fn forward(&self, t: &mut Tape<'_>) -> Result<Var, EngineError> {
        let weights = self.given("weights");
        let one = || self.v["spec"]["weight"].as_f64().map_or(1.0, |w| w as f32);
        let row_weights = weights.as_ref().map_or_else(|| RowWeights::One(one()), |w| RowWeights::Each(w));
        match self.v["op"].as_str().expect("an operation") {
            "embedding" => t.embedding(
                &self.ids("ids"),
                self.n("seq"),
                self.p("table"),
                self.layout.find("positions"),
                None,
            ),
            "norm" => {
                let x = self.leaf(t, "x");
                t.norm(x, self.p("gain"), self.layout.find("shift"), self.flag("rms"), self.f("eps"))
            }
            "linear" => {
                let x = self.leaf(t, "x");
                let residual = self.layout.find("residual").map(|r| t.leaf(r));
                let act = act(self.word("act"));
                let bias = self.layout.find("bias");
                t.linear(x, LinearSpec { bias, act, residual, ..LinearSpec::new(self.p("weight")) })
            }
            "attention" => {
                let x = self.leaf(t, "x");
                t.attention(x, self.attention())
            }
            "gated" => {
                let x = self.leaf(t, "x");
                t.gated(x, None)
            }
            "swiglu" => {
                let x = self.leaf(t, "x");
                let u = t.linear(x, LinearSpec::new(self.p("up")))?;
                let h = t.gated(u, None)?;
                t.linear(h, LinearSpec { residual: Some(x), ..LinearSpec::new(self.p("down")) })
            }
            "cross_entropy" => {
                let h = self.leaf(t, "h");
                let s = t.cross_entropy(h, self.head(), &self.ids("targets"), row_weights)?;
                t.columns(s, 0..1)
            }
            "token_nll" => {
                let h = self.leaf(t, "h");
                let nll = t.token_nll(h, self.head(), &self.ids("targets"))?;
                let s = t.map(nll, Function::Scale(-0.5));
                let s = t.map(s, Function::Softplus);
                Ok(t.map(s, Function::Square))
            }
            "kl" => {
                let h = self.leaf(t, "h");
                t.kl(h, self.head(), &self.given("teacher").expect("a teacher"), row_weights)
            }
            "distance" => {
                let x = self.leaf(t, "x");
                let kind =
                    if self.word("kind") == "squared" { Distance::Squared } else { Distance::Absolute };
                t.distance(x, &self.given("target").expect("a target"), kind, row_weights)
            }
            "l1" => {
                let x = self.leaf(t, "x");
                let total = t.l1(x, RowWeights::One(self.f("weight")))?;
                Ok(t.input(1, 1, |v| v[0] = total as f32))
            }
            "correlation" => {
                let x = self.leaf(t, "x");
                let (z, cols) = (t.value(x).to_vec(), t.shape(x).1);
                let mut g = vec![0.0; z.len()];
                let w = self.f("weight");
                let total = correlation(&z, cols, self.range("a"), self.range("b"), w, &mut g)?;
                t.seed_grad(x, &g)?;
                t.add_objective(f64::from(w) * total);
                Ok(t.input(1, 1, |v| v[0] = total as f32))
            }
            "map" => {
                let x = self.leaf(t, "x");
                Ok(t.map(x, function(self.word("function"))))
            }
            "pair" => {
                let (a, b) = (self.leaf(t, "a"), self.leaf(t, "b"));
                let f = match self.word("function") {
                    "add" => Pair::Add,
                    "sub" => Pair::Sub,
                    "mul" => Pair::Mul,
                    _ => Pair::Div,
                };
                t.pair(a, f, b)
            }
            "pair_self" => {
                let a = self.leaf(t, "a");
                t.pair(a, Pair::Mul, a)
            }
            "reduce" => {
                let x = self.leaf(t, "x");
                let over = match self.word("over") {
                    "sum" => Over::Sum,
                    "mean" => Over::Mean,
                    "row_sum" => Over::RowSum,
                    "column_mean" => Over::ColumnMean,
                    _ => Over::RowLogSumExp,
                };
                Ok(t.reduce(x, over))
            }
            "columns" => {
                let x = self.leaf(t, "x");
                t.columns(x, self.range("range"))
            }
            "concat" => {
                let (a, b) = (self.leaf(t, "a"), self.leaf(t, "b"));
                t.concat(a, b)
            }
            "matmul" => {
                let (a, b) = (self.leaf(t, "a"), self.leaf(t, "b"));
                t.matmul(a, b)
            }
            "matmul_self" => {
                let a = self.leaf(t, "a");
                t.matmul(a, a)
            }
            "detach" => {
                let x = self.leaf(t, "x");
                let fixed = t.detach(x);
                t.pair(x, Pair::Mul, fixed)
            }
            "leaf" => Ok(self.leaf(t, "x")),
            "network" => self.network(t),
            other => panic!("no operation {other:?}"),
        }
    }

    fn attention(&self) -> AttentionSpec {
        AttentionSpec {
            seq: self.n("seq"),
            heads: self.n("heads"),
            kv_heads: self.n("kv_heads"),
            head_dim: self.n("head_dim"),
            scale: self.f("scale"),
            window: self.v["spec"]["window"].as_u64().map(|w| w as usize),
            rotary: self.v["spec"]["rotary"].as_f64().map(|b| Rotary::plain(b as f32)),
            site: None,
        }
    }

    fn network(&self, t: &mut Tape<'_>) -> Result<Var, EngineError> {
        let seq = self.n("seq");
        let (heads, head_dim) = (self.n("heads"), self.n("head_dim"));
        let mut x =
            t.embedding(&self.ids("tokens"), seq, self.p("embed"), self.layout.find("positions"), None)?;
        for b in 0..2 {
            let p = |name: &str| self.p(&format!("{b}.{name}"));
            let linear = |name: &str| LinearSpec {
                bias: Some(p(&format!("{name}.bias"))),
                ..LinearSpec::new(p(name))
            };
            let h = t.norm(x, p("ln1.gain"), Some(p("ln1.shift")), false, 1e-5)?;
            let h = t.linear(h, linear("qkv"))?;
            let scale = (head_dim as f32).powf(-0.5);
            let spec = AttentionSpec {
                seq,
                heads,
                kv_heads: heads,
                head_dim,
                scale,
                window: None,
                rotary: None,
                site: None,
            };
            let h = t.attention(h, spec)?;
            x = t.linear(h, LinearSpec { residual: Some(x), ..linear("proj") })?;
            let h = t.norm(x, p("ln2.gain"), Some(p("ln2.shift")), false, 1e-5)?;
            let h = t.linear(h, LinearSpec { act: Act::GeluTanh, ..linear("up") })?;
            x = t.linear(h, LinearSpec { residual: Some(x), ..linear("down") })?;
        }
        let h = t.norm(x, self.p("ln.gain"), self.layout.find("ln.shift"), false, 1e-5)?;
        let spec = HeadSpec { weight: self.p("embed"), tied: true, bias: None, scale: 1.0 };
        let s = t.cross_entropy(h, spec, &self.ids("targets"), RowWeights::One(1.0))?;
        t.columns(s, 0..1)
    }

    fn check(&self) {
        let functional = self.v.get("functional").filter(|v| !v.is_null()).map(floats);
        let got =
            plain_pass(&self.layout, &self.params, self.rows, functional.as_deref(), &|t| self.forward(t));
        let name = self.name();
        let want = &self.v["out"];
        let shape = [got.shape.0, got.shape.1].map(|n| Value::from(n as u64));
        assert_eq!(want[0].as_array().map(Vec::as_slice), Some(&shape[..]), "{name}: shape");
        assert_close(&format!("{name}: output"), &got.out, &floats(&want[1]), REL, ABS);
        let objective = self.v["objective"].as_f64().expect("a number");
        let error = (got.objective - objective).abs();
        assert!(error < 2e-4 * objective.abs() + 2e-5, "{name}: objective {} not {objective}", got.objective);
        for (tensor, want) in self.v["grads"].as_object().expect("gradients") {
            let p = self.p(tensor);
            let want = if want.is_null() { vec![0.0; self.layout.get(p).span().len()] } else { floats(want) };
            // Many layers deep the rounding is that of the largest terms: PyTorch's own f32
            // gradients of the network differ from its f64 ones by 4e-6 of the largest entry.
            let top = want.iter().fold(0.0, |a: f32, b| a.max(b.abs()));
            let absolute = if name == "network" { 1e-5 * top.max(1.0) } else { ABS };
            assert_close(
                &format!("{name}: gradient of {tensor}"),
                got.grad(&self.layout, p),
                &want,
                REL,
                absolute,
            );
        }
    }
}

fn act(name: &str) -> Act {
    match name {
        "identity" => Act::Identity,
        "relu" => Act::Relu,
        "gelu" => Act::Gelu,
        "gelu_tanh" => Act::GeluTanh,
        _ => Act::Silu,
    }
}

fn function(name: &str) -> Function {
    match name {
        "scale" => Function::Scale(-1.5),
        "shift" => Function::Shift(-1.5),
        "abs" => Function::Abs,
        "square" => Function::Square,
        "sqrt" => Function::Sqrt,
        "exp" => Function::Exp,
        "log" => Function::Log,
        "softplus" => Function::Softplus,
        "relu" => Function::Relu,
        "sigmoid" => Function::Sigmoid,
        "tanh" => Function::Tanh,
        "gelu" => Function::Gelu,
        "gelu_tanh" => Function::GeluTanh,
        _ => Function::Silu,
    }
}

#[test]
fn operations_match_pytorch() {
    let cases = load(include_str!("reference/ops.json"));
    let mut failures = Vec::new();
    for case in cases {
        let case = Case::new(case);
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| case.check()));
        if let Err(e) = result {
            failures.push(e.downcast_ref::<String>().cloned().unwrap_or_else(|| case.name().to_owned()));
        }
    }
    assert!(failures.is_empty(), "{} cases differ:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn a_whole_network_matches_pytorch() {
    for case in load(include_str!("reference/network.json")) {
        Case::new(case).check();
    }
}
