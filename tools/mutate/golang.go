package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
)

// goMutants makes every mutant of the functions of a Go file that the operators know. Functions are named as they are
// declared, methods without their receiver.
//
// Errors: a file that does not parse, and a name that no function has.
func goMutants(file, src string, functions []string) ([]mutant, error) {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, file, src, 0)
	if err != nil {
		return nil, err
	}
	missing := map[string]bool{}
	for _, name := range functions {
		missing[name] = true
	}
	g := &golang{src: src, offset: func(p token.Pos) int { return fset.Position(p).Offset }}
	for _, d := range f.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && missing[fn.Name.Name] {
			delete(missing, fn.Name.Name)
			ast.Inspect(fn.Body, g.node)
		}
	}
	for name := range missing {
		return nil, fmt.Errorf("mutate %s: no function %s", file, name)
	}
	return makeMutants(file, src, g.edits, nil), nil
}

type golang struct {
	src    string
	offset func(token.Pos) int
	edits  []edit
}

func (g *golang) text(n ast.Node) string { return g.src[g.offset(n.Pos()):g.offset(n.End())] }

func (g *golang) replace(operator string, from, to token.Pos, text string) {
	g.edits = append(g.edits, edit{operator, g.offset(from), g.offset(to), text})
}

// goSymbols are the operators that put one symbol for another.
var goSymbols = map[token.Token][][2]string{
	token.LSS: {{"bound", "<="}, {"negate", ">="}}, token.LEQ: {{"bound", "<"}, {"negate", ">"}},
	token.GTR: {{"bound", ">="}, {"negate", "<="}}, token.GEQ: {{"bound", ">"}, {"negate", "<"}},
	token.EQL: {{"negate", "!="}}, token.NEQ: {{"negate", "=="}}, token.LAND: {{"logic", "||"}}, token.LOR: {{"logic", "&&"}},
	token.ADD: {{"sign", "-"}}, token.SUB: {{"sign", "+"}}, token.MUL: {{"arithmetic", "+"}}, token.QUO: {{"arithmetic", "*"}}, token.REM: {{"arithmetic", "/"}},
}

// node adds the mutants of one node, and reports whether its children are to be looked at: not those of refusals and
// errors, whose words are no behaviour of a run.
func (g *golang) node(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.CallExpr:
		name := g.text(n.Fun)
		if strings.HasSuffix(name, "Errorf") || strings.HasSuffix(name, "Unsupported") || name == "panic" || strings.HasPrefix(name, "fmt.") {
			return false
		}
		g.call(n, name)
	case *ast.BinaryExpr:
		g.binary(n)
	case *ast.BasicLit:
		if v, err := strconv.ParseInt(n.Value, 0, 64); err == nil && n.Kind == token.INT {
			g.replace("constant", n.Pos(), n.End(), fmt.Sprint(v+1))
			if v > 0 {
				g.replace("constant", n.Pos(), n.End(), fmt.Sprint(v-1))
			}
		}
	case *ast.UnaryExpr:
		if n.Op == token.NOT {
			g.replace("negate", n.Pos(), n.X.Pos(), "")
		}
	case *ast.CompositeLit:
		g.swapNeighbours(n.Elts)
	case *ast.IfStmt:
		if g.concernsErrors(n.Cond) {
			return false
		}
		g.replace("negate", n.Cond.Pos(), n.Cond.End(), "!("+g.text(n.Cond)+")")
	case *ast.AssignStmt:
		g.assign(n)
	case *ast.ExprStmt:
		g.replace("dropstatement", n.Pos(), n.End(), "")
	case *ast.IncDecStmt:
		g.replace("dropstatement", n.Pos(), n.End(), "")
	case *ast.BranchStmt:
		g.replace("dropstatement", n.Pos(), n.End(), "")
	}
	return true
}

func (g *golang) binary(n *ast.BinaryExpr) {
	if g.concernsErrors(n) {
		return
	}
	for _, c := range goSymbols[n.Op] {
		g.replace(c[0], n.OpPos, n.OpPos+token.Pos(len(n.Op.String())), c[1])
	}
	drop := map[token.Token]string{
		token.ADD: "dropterm", token.SUB: "dropterm", token.MUL: "dropfactor", token.QUO: "dropfactor", token.REM: "dropfactor",
		token.LAND: "dropcondition", token.LOR: "dropcondition",
	}[n.Op]
	if drop != "" {
		g.replace(drop, n.X.End(), n.Y.End(), "")
		g.replace(drop, n.X.Pos(), n.Y.Pos(), "")
	}
}

// concernsErrors reports whether an expression asks about an error: handling those is not what a run computes.
func (g *golang) concernsErrors(n ast.Node) bool {
	found := false
	ast.Inspect(n, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && (id.Name == "err" || strings.HasPrefix(id.Name, "Err") || id.Name == "errors") {
			found = true
		}
		return !found
	})
	return found
}

func (g *golang) call(n *ast.CallExpr, name string) {
	switch name {
	case "min", "max":
		g.replace("minmax", n.Fun.Pos(), n.Fun.End(), map[string]string{"min": "max", "max": "min"}[name])
		for _, a := range n.Args {
			g.replace("dropbound", n.Pos(), n.End(), "("+g.text(a)+")")
		}
	case "append":
		if len(n.Args) == 2 {
			g.replace("dropappend", n.Pos(), n.End(), g.text(n.Args[0]))
		}
		g.swapNeighbours(n.Args[1:])
	case "make", "len", "copy", "clear":
	default:
		g.swapNeighbours(n.Args)
	}
}

// swapNeighbours exchanges each two neighbours of a list: fields, elements, arguments. Those whose types differ do not
// compile, and say nothing.
func (g *golang) swapNeighbours(list []ast.Expr) {
	for i := 1; i < len(list); i++ {
		a, b := list[i-1], list[i]
		if ka, ok := a.(*ast.KeyValueExpr); ok {
			a = ka.Value
		}
		if kb, ok := b.(*ast.KeyValueExpr); ok {
			b = kb.Value
		}
		between := g.src[g.offset(a.End()):g.offset(b.Pos())]
		g.replace("swap", a.Pos(), b.End(), g.text(b)+between+g.text(a))
	}
}

func (g *golang) assign(n *ast.AssignStmt) {
	switch n.Tok {
	case token.ASSIGN:
		g.replace("dropstatement", n.Pos(), n.End(), "")
		if len(n.Lhs) > 1 && len(n.Rhs) == len(n.Lhs) {
			g.swapNeighbours(n.Rhs)
		}
	case token.DEFINE:
		if len(n.Lhs) > 1 && len(n.Rhs) == 1 && !g.concernsErrors(n) {
			g.swapNeighbours(n.Lhs)
		} else if len(n.Rhs) == len(n.Lhs) {
			g.swapNeighbours(n.Rhs)
		}
	case token.ADD_ASSIGN:
		g.replace("dropstatement", n.Pos(), n.End(), "")
		g.replace("overwrite", n.TokPos, n.TokPos+2, "=")
		g.replace("sign", n.TokPos, n.TokPos+2, "-=")
	}
}
