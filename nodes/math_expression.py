"""Arithmetic that users write: a part of Python's expressions, evaluated without running code."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn

_LONGEST: Final = 10_000  # characters
_MOST_BITS: Final = 1 << 14  # of whole numbers on the way; a float has some 1024
_MOST_EXPONENT: Final = 4000

_BINARY: Final[Mapping[type[ast.operator], Callable[[Any, Any], Any]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
}
_UNARY: Final[Mapping[type[ast.unaryop], Callable[[Any], Any]]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
    ast.Invert: operator.invert,
    ast.Not: operator.not_,
}
_COMPARISONS: Final[Mapping[type[ast.cmpop], Callable[[Any, Any], bool]]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


class BadExpression(ValueError):
    """An expression cannot be evaluated."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the expression cannot be evaluated: {reason}")


def _power(base: Any, exponent: Any) -> Any:
    if abs(exponent) > _MOST_EXPONENT:
        raise BadExpression(f"exponents go up to {_MOST_EXPONENT}")
    return base**exponent


def _sum(*terms: Any) -> Any:
    return sum(terms[0] if len(terms) == 1 and isinstance(terms[0], list) else terms)


FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {
    "sum": _sum,
    "min": min,
    "max": max,
    "abs": abs,
    "round": round,
    "pow": _power,
    "sqrt": math.sqrt,
    "ceil": math.ceil,
    "floor": math.floor,
    "log": math.log,
    "log2": math.log2,
    "log10": math.log10,
    "sin": math.sin,
    "cos": math.cos,
    "tan": math.tan,
    "int": int,
    "float": float,
}


def evaluate(expression: str, names: Mapping[str, Any]) -> int | float | bool:
    """The value of an expression of numbers, `names` and `FUNCTIONS`.

    Raises BadExpression, also for results that are no finite numbers, and for whole numbers that
    grow beyond all use on the way.
    """
    if not expression.strip():
        raise BadExpression("it is empty")
    if len(expression) > _LONGEST:
        raise BadExpression(f"it has more than {_LONGEST} characters")
    try:
        tree = ast.parse(expression.strip(), mode="eval")
        result = _Evaluation(names).value(tree.body)
        if isinstance(result, bool | int | float) and math.isfinite(float(result)):
            return result
    except BadExpression:
        raise
    except SyntaxError as error:
        raise BadExpression(f"{error.msg}, character {error.offset}") from None
    except OverflowError:
        raise BadExpression("the result is too large") from None
    except (ArithmeticError, TypeError, ValueError, IndexError) as error:
        raise BadExpression(str(error)) from error
    except (RecursionError, MemoryError):
        raise BadExpression("it is nested too deeply") from None
    raise BadExpression(f"the result is {result!r}, no finite number")


class _Evaluation:
    """Walks one tree."""

    def __init__(self, names: Mapping[str, Any]) -> None:
        self._names = names

    def value(self, node: ast.expr) -> Any:
        """The value of a part; whole numbers stay within bounds."""
        found = self._value(node)
        if isinstance(found, int) and found.bit_length() > _MOST_BITS:
            raise BadExpression("a number becomes too large")
        return found

    def _value(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=bool() | int() | float()):
                return node.value
            case ast.Name(id=name):
                if name not in self._names:
                    raise BadExpression(f"there is no input '{name}'")
                return self._names[name]
            case ast.BinOp(left=left, op=ast.Pow(), right=right):
                return _power(self.value(left), self.value(right))
            case ast.BinOp(left=left, op=operation, right=right):
                return self._binary(operation, self.value(left), self.value(right))
            case ast.UnaryOp(op=sign, operand=operand):
                return _UNARY[type(sign)](self.value(operand))
            case ast.BoolOp(op=ast.And(), values=parts):
                return self._first(parts, wanted=False)
            case ast.BoolOp(values=parts):
                return self._first(parts, wanted=True)
            case ast.Compare(left=left, ops=signs, comparators=others):
                return self._compare(left, signs, others)
            case ast.IfExp(test=test, body=body, orelse=other):
                return self.value(body if self.value(test) else other)
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                if name not in FUNCTIONS:
                    known = ", ".join(FUNCTIONS)
                    raise BadExpression(f"there is no function '{name}', but {known}")
                return FUNCTIONS[name](*(self.value(argument) for argument in arguments))
            case ast.List(elts=items) | ast.Tuple(elts=items):
                return [self.value(item) for item in items]
            case ast.Subscript(value=ast.Name() as whole, slice=index):
                return self.value(whole)[self.value(index)]
            case _:
                return _refuse(node)

    def _binary(self, operation: ast.operator, left: Any, right: Any) -> Any:
        if isinstance(left, list) or isinstance(right, list):
            raise BadExpression("lists are for functions")
        if isinstance(operation, ast.LShift) and right > _MOST_BITS:
            raise BadExpression("a number becomes too large")
        if type(operation) not in _BINARY:
            raise BadExpression(f"there is no operator {type(operation).__name__}")
        return _BINARY[type(operation)](left, right)

    def _first(self, parts: list[ast.expr], *, wanted: bool) -> Any:
        """The first part whose truth is the wanted one, or the last."""
        for part in parts[:-1]:
            found = self.value(part)
            if bool(found) is wanted:
                return found
        return self.value(parts[-1])

    def _compare(self, left: ast.expr, signs: list[ast.cmpop], others: list[ast.expr]) -> bool:
        found = self.value(left)
        for sign, other in zip(signs, others, strict=True):
            following = self.value(other)
            if type(sign) not in _COMPARISONS:
                raise BadExpression(f"there is no comparison {type(sign).__name__}")
            if not _COMPARISONS[type(sign)](found, following):
                return False
            found = following
        return True


def _refuse(node: ast.expr) -> NoReturn:
    raise BadExpression(f"'{ast.unparse(node)[:100]}' is more than arithmetic")
