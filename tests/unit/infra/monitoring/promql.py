"""What an expression of PromQL asks for, and the labels of its result."""

from collections.abc import Iterator, Mapping, Set

from promql_parser import (
    AggModifierType,
    AggregateExpr,
    BinaryExpr,
    Call,
    Expr,
    LabelModifierType,
    MatrixSelector,
    ParenExpr,
    SubqueryExpr,
    UnaryExpr,
    VectorSelector,
)

Labels = Set[str]


def selectors(expr: Expr) -> Iterator[VectorSelector]:
    """Every selector of the expression."""
    if isinstance(expr, VectorSelector):
        yield expr
    for part in _parts(expr):
        yield from selectors(part)


def unknown_labels(expr: Expr, known: Mapping[str, Labels]) -> Iterator[str]:
    """The labels that the expression uses of something that does not have them; `known` is by metric."""
    if isinstance(expr, VectorSelector):
        used: Labels = {matcher.name for matcher in expr.matchers.matchers}
        yield from (f"{expr.name}: {label}" for label in used - known[expr.name or ""])
    elif isinstance(expr, AggregateExpr) and expr.modifier is not None:
        inner = result_labels(expr.expr, known)
        yield from (f"{expr.expr}: {label}" for label in set(expr.modifier.labels) - inner)
    elif isinstance(expr, BinaryExpr) and expr.modifier is not None and expr.modifier.matching is not None:
        for side in (expr.lhs, expr.rhs):
            missing = set(expr.modifier.matching.labels) - result_labels(side, known)
            yield from (f"{side}: {label}" for label in missing)
    for part in _parts(expr):
        yield from unknown_labels(part, known)


def result_labels(expr: Expr, known: Mapping[str, Labels]) -> Labels:
    """The labels that a sample of the result has."""
    if isinstance(expr, VectorSelector):
        return known[expr.name or ""]
    if isinstance(expr, AggregateExpr):
        return _aggregated(expr, known)
    if isinstance(expr, BinaryExpr):
        return _combined(expr, known)
    parts = [result_labels(part, known) for part in _parts(expr)]
    labels = frozenset().union(*parts)
    if isinstance(expr, Call) and expr.func.name == "histogram_quantile":
        return labels - {"le"}
    if isinstance(expr, Call) and expr.func.name == "absent":
        # It has those of its selector that are equal to one value.
        return {matcher.name for part in selectors(expr) for matcher in part.matchers.matchers}
    return labels


def _aggregated(expr: AggregateExpr, known: Mapping[str, Labels]) -> Labels:
    if expr.modifier is None:
        return frozenset()
    named = frozenset(expr.modifier.labels)
    if expr.modifier.type == AggModifierType.By:
        return named
    return result_labels(expr.expr, known) - named


def _combined(expr: BinaryExpr, known: Mapping[str, Labels]) -> Labels:
    left, right = result_labels(expr.lhs, known), result_labels(expr.rhs, known)
    if str(expr.op) == "or":
        return left & right if left and right else left | right
    matching = expr.modifier.matching if expr.modifier is not None else None
    is_joined = str(expr.op) in {"and", "unless"} or "Many" in str(expr.modifier and expr.modifier.card)
    if matching is None or is_joined:
        return left or right
    named = frozenset(matching.labels)
    return named if matching.type == LabelModifierType.Include else left - named


def _parts(expr: Expr) -> list[Expr]:
    if isinstance(expr, BinaryExpr):
        return [expr.lhs, expr.rhs]
    if isinstance(expr, Call):
        return list(expr.args)
    if isinstance(expr, MatrixSelector):
        return [expr.vector_selector]
    if isinstance(expr, AggregateExpr | ParenExpr | UnaryExpr | SubqueryExpr):
        return [expr.expr]
    return []
