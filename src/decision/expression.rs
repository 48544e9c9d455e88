//! Expressions over the session, the identity and the request, in CEL.

use std::fmt;
use std::sync::{Arc, LazyLock};

use cel::common::ast::{EntryExpr, Expr, LiteralValue};
use cel::{Context, Env, IdedExpr, Program, Value};

mod scope;

pub use scope::{Facts, Scope, Told};

/// The longest expression accepted, in bytes: the parser recurses over chains of operators.
pub const MAX_LENGTH: usize = 2048;
/// How deep brackets may nest: the parser recurses, a quarter of a megabyte each where it is not optimised.
const MAX_DEPTH: usize = 8;
/// How deep operators and calls may nest, as in `1 + 1 + 1`: reading and evaluating them recurse too. `&&` and `||`
/// do not count, their chains are read as trees.
const MAX_NESTING: usize = 32;
/// How deep `all`, `exists`, `map` and `filter` may nest: each level multiplies the time by the length of a list.
const MAX_LOOPS: usize = 2;
/// What an expression may name.
pub const ROOTS: [&str; 6] = ["session", "identity", "subject", "claims", "context", "request"];

static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

/// A compiled expression.
pub struct Expression {
    source: Box<str>,
    program: Program,
    reads: Reads,
}

/// Which facts an expression reads, found when it is compiled.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Reads {
    /// It names `session` or `identity`.
    pub session: bool,
    /// It names `request`: its value differs from one request to the next.
    pub request: bool,
    /// It names `context`, which others were asked for.
    pub context: bool,
    /// It reads `traits`, which users edit themselves.
    pub traits: bool,
}

/// Why a text is not an expression.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ExpressionError {
    #[error("the expression is empty")]
    Empty,
    #[error("the expression never has a value: whoami does not tell `{0}`")]
    NeverTold(String),
    #[error("not an expression: {reason}")]
    Syntax {
        /// Where in the source, in bytes.
        offset: usize,
        reason: String,
    },
    #[error("the expression is longer than {MAX_LENGTH} bytes")]
    TooLong,
    #[error("the expression nests more than {MAX_DEPTH} brackets or {MAX_NESTING} operators")]
    TooDeep,
    #[error("the expression nests more than {MAX_LOOPS} of `all`, `exists`, `exists_one`, `filter`, `map`")]
    TooManyLoops,
    #[error(
        "unknown name `{name}`: an expression may read `session`, `identity`, `subject`, `claims`, `context` and `request`"
    )]
    UnknownName { name: String },
}

impl Reads {
    /// What both read.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            session: self.session || other.session,
            request: self.request || other.request,
            context: self.context || other.context,
            traits: self.traits || other.traits,
        }
    }
}

impl ExpressionError {
    /// Where in the source the fault is, in bytes; 0 where it is the whole expression's.
    pub fn offset(&self) -> usize {
        match self {
            Self::Syntax { offset, .. } => *offset,
            Self::Empty
            | Self::NeverTold(_)
            | Self::TooDeep
            | Self::TooLong
            | Self::TooManyLoops
            | Self::UnknownName { .. } => 0,
        }
    }

    fn syntax(source: &str, errors: &cel::ParseErrors) -> Self {
        let Some(first) = errors.errors.first() else {
            return Self::Syntax { offset: 0, reason: "it cannot be read".to_owned() };
        };
        let (line, column) = first.pos;
        // Lines and columns count from 1, columns in characters.
        let before = source.split_inclusive('\n').take(usize::try_from(line - 1).unwrap_or_default());
        let start = before.map(str::len).sum::<usize>();
        let column = usize::try_from(column - 1).unwrap_or_default();
        let within = source.get(start..).unwrap_or_default();
        let offset = start + within.char_indices().nth(column).map_or(within.len(), |(at, _)| at);
        let reason = first.msg.lines().next().unwrap_or_default().trim_start_matches("Syntax error: ");
        // Of the parser's list of all tokens that it would have taken, the one that it did not take is enough.
        let reason = match reason.split(" expecting ").next().unwrap_or(reason) {
            "mismatched input '<EOF>'" | "no viable alternative at input '<EOF>'" => "it ends too early".to_owned(),
            reason => {
                match reason.strip_prefix("mismatched input ").or_else(|| reason.strip_prefix("extraneous input ")) {
                    Some(token) => format!("unexpected {token}"),
                    None => reason.replace("'<EOF>'", "the end"),
                }
            }
        };
        Self::Syntax { offset, reason }
    }
}

impl Expression {
    /// Compiles `source`.
    ///
    /// # Errors
    /// Where it is no CEL, is too long or too deep, or names what no request has.
    pub fn compile(source: &str) -> Result<Self, ExpressionError> {
        if source.trim().is_empty() {
            return Err(ExpressionError::Empty);
        }
        if source.len() > MAX_LENGTH {
            return Err(ExpressionError::TooLong);
        }
        if depth(source) > MAX_DEPTH {
            return Err(ExpressionError::TooDeep);
        }
        let program = ENVIRONMENT.compile(source).map_err(|errors| ExpressionError::syntax(source, &errors))?;
        let mut survey = Survey::default();
        survey.visit(program.expression(), 0);
        if survey.too_deep {
            return Err(ExpressionError::TooDeep);
        }
        if let Some(name) = survey.unknown {
            return Err(ExpressionError::UnknownName { name });
        }
        if let Some(name) = survey.never_told {
            return Err(ExpressionError::NeverTold(name));
        }
        if survey.loops > MAX_LOOPS {
            return Err(ExpressionError::TooManyLoops);
        }
        Ok(Self { source: source.into(), program, reads: survey.reads })
    }

    pub fn source(&self) -> &str {
        &self.source
    }

    pub fn reads(&self) -> Reads {
        self.reads
    }

    /// Whether the value is the boolean `true`. Anything else, an error included, is not.
    pub fn holds(&self, scope: &Scope<'_>) -> bool {
        matches!(self.value(scope), Some(Value::Bool(true)))
    }

    /// The value as text: strings as they are, all else as JSON; null and errors are nothing.
    pub fn text(&self, scope: &Scope<'_>) -> Option<String> {
        match self.value(scope)? {
            Value::Null => None,
            Value::String(text) => Some(Arc::unwrap_or_clone(text)),
            value => value.json().ok().map(|json| json.to_string()),
        }
    }

    /// The value itself; errors are nothing.
    pub fn value(&self, scope: &Scope<'_>) -> Option<Value> {
        let mut context = Context::with_env(Arc::clone(&ENVIRONMENT));
        context.set_variable_resolver(scope);
        self.program.execute(&context).ok()
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expression({:?})", self.source)
    }
}

/// How deep the brackets of `source` nest, those in strings included: a bound, not a parse.
fn depth(source: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for byte in source.bytes() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            // Each of these recurses as a bracket does.
            b'!' | b'-' | b'?' => deepest = deepest.max(depth + 1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    // A run of prefix operators nests without brackets.
    let run = source.split(|c: char| c != '!' && c != '-').map(str::len).max().unwrap_or(0);
    deepest.max(run)
}

/// A walk over an expression that notes what it reads.
#[derive(Default)]
struct Survey {
    bound: Vec<String>,
    depth: usize,
    loops: usize,
    never_told: Option<String>,
    reads: Reads,
    too_deep: bool,
    unknown: Option<String>,
}

impl Survey {
    fn visit(&mut self, node: &IdedExpr, loops: usize) {
        if self.depth >= MAX_NESTING {
            self.too_deep = true;
            return;
        }
        self.depth += 1;
        self.look(node, loops);
        self.depth -= 1;
    }

    fn look(&mut self, node: &IdedExpr, loops: usize) {
        match &node.expr {
            Expr::Unspecified | Expr::Literal(_) => {}
            Expr::Ident(name) => self.name(name),
            Expr::Select(select) => {
                self.field(&select.field, &select.operand);
                self.visit(&select.operand, loops);
            }
            Expr::Call(call) => {
                // `identity["traits"]` reads the same as `identity.traits`.
                if let ("_[_]" | "_[?_]", [operand, index]) = (call.func_name.as_str(), call.args.as_slice())
                    && let Expr::Literal(LiteralValue::String(text)) = &index.expr
                {
                    self.field(text.inner(), operand);
                }
                for part in call.target.iter().map(AsRef::as_ref).chain(&call.args) {
                    self.visit(part, loops);
                }
            }
            Expr::List(list) => list.elements.iter().for_each(|element| self.visit(element, loops)),
            Expr::Map(map) => map.entries.iter().for_each(|entry| self.entry(&entry.expr, loops)),
            Expr::Struct(shape) => shape.entries.iter().for_each(|entry| self.entry(&entry.expr, loops)),
            Expr::Comprehension(comprehension) => {
                self.loops = self.loops.max(loops + 1);
                self.visit(&comprehension.iter_range, loops);
                let bound = self.bound.len();
                self.bound.extend([comprehension.iter_var.clone(), comprehension.accu_var.clone()]);
                self.bound.extend(comprehension.iter_var2.clone());
                for part in [
                    &comprehension.accu_init,
                    &comprehension.loop_cond,
                    &comprehension.loop_step,
                    &comprehension.result,
                ] {
                    self.visit(part, loops + 1);
                }
                self.bound.truncate(bound);
            }
        }
    }

    fn entry(&mut self, entry: &EntryExpr, loops: usize) {
        match entry {
            EntryExpr::MapEntry(entry) => {
                self.visit(&entry.key, loops);
                self.visit(&entry.value, loops);
            }
            EntryExpr::StructField(field) => self.visit(&field.value, loops),
        }
    }

    fn name(&mut self, name: &str) {
        match name {
            _ if self.bound.iter().any(|bound| bound == name) => {}
            "session" | "identity" => self.reads.session = true,
            "request" => self.reads.request = true,
            "context" => self.reads.context = true,
            "claims" | "subject" => {}
            // Names of types are values in CEL: `type(x) == string`.
            "bool" | "bytes" | "double" | "int" | "list" | "map" | "null_type" | "string" | "type" | "uint" => {}
            _ => self.unknown = self.unknown.take().or_else(|| Some(name.to_owned())),
        }
    }

    fn field(&mut self, field: &str, of: &IdedExpr) {
        match field {
            // What clients send may be called anything, and so may what others tell.
            _ if matches!(root(of), Some("claims" | "context" | "request")) => {}
            "traits" => self.reads.traits = true,
            "metadata_admin" | "credentials" => {
                self.never_told = self.never_told.take().or_else(|| Some(field.to_owned()));
            }
            _ => {}
        }
    }
}

/// The name that a chain of fields begins with.
fn root(node: &IdedExpr) -> Option<&str> {
    match &node.expr {
        Expr::Ident(name) => Some(name),
        Expr::Select(select) => root(&select.operand),
        Expr::Call(call) => call.args.first().and_then(root),
        Expr::Unspecified
        | Expr::Literal(_)
        | Expr::List(_)
        | Expr::Map(_)
        | Expr::Struct(_)
        | Expr::Comprehension(_) => None,
    }
}

#[cfg(test)]
pub(crate) mod tests;
