package main

import (
	"fmt"
	"strconv"
	"strings"
)

// swaps are the names that stand for each other's axis, side or half in the shaders.
var swaps = pairs(
	"H", "W", "R", "S", "P", "Q", "strideH", "strideW", "padTop", "padLeft", "padBottom", "padRight", "dilationH", "dilationW",
	"C", "K", "Cg", "Kg", "r", "s", "p", "q", "row", "col", "h", "w", "top", "left", "rows", "cols", "h0", "w0", "h1", "w1",
	"in0", "out0", "wl", "wh", "tp", "tf", "lo", "hi", "a", "b", "n", "c", "group", "block", "gl_WorkGroupID", "gl_LocalInvocationID",
	"gl_NumWorkGroups", "gl_WorkGroupSize", "x0", "x1", "x2", "x3", "p0", "p1", "p2", "p3", "a0", "b0", "e0", "d0", "a1", "b1",
	"c1", "d1", "a2", "a3", "lo0", "hi0", "lo1", "lo2", "hi2", "hi3", "BM", "BN", "blocks", "Kg", "count", "HW", "top", "sum",
	"c0", "step", "j0", "j", "part", "sum", "rem", "pq", "nc", "i", "K", "k", "k", "m",
)

func pairs(names ...string) map[string]string {
	out := map[string]string{}
	for i := 0; i < len(names); i += 2 {
		for a, b := range map[string]string{names[i]: names[i+1], names[i+1]: names[i]} {
			if out[a] == "" {
				out[a] = b
			}
		}
	}
	return out
}

// glslMutants makes every mutant of a shader source that the operators know.
func glslMutants(file, src string) []mutant {
	ts := tokens(src)
	in := scope(ts)
	g := &glsl{ts: ts}
	for i := range ts {
		if in[i] {
			g.token(i)
		}
	}
	g.statements(in)
	return makeMutants(file, src, g.edits, nil)
}

type glsl struct {
	ts    []word
	edits []edit
}

// replace changes tokens from to to-1.
func (g *glsl) replace(operator string, from, to int, text string) {
	if from < to && to <= len(g.ts) {
		g.edits = append(g.edits, edit{operator, g.ts[from].start, g.ts[to-1].end, text})
	}
}

// symbolChanges are the operators that put one symbol for another.
var symbolChanges = map[string][][2]string{ // symbol → (operator, other symbol)
	"<": {{"bound", "<="}, {"negate", ">="}}, "<=": {{"bound", "<"}, {"negate", ">"}},
	">": {{"bound", ">="}, {"negate", "<="}}, ">=": {{"bound", ">"}, {"negate", "<"}},
	"==": {{"negate", "!="}}, "!=": {{"negate", "=="}}, "&&": {{"logic", "||"}}, "||": {{"logic", "&&"}},
	"+=": {{"sign", "-="}, {"overwrite", "="}}, "-=": {{"sign", "+="}}, "/=": {{"arithmetic", "-="}},
	"*": {{"arithmetic", "+"}}, "/": {{"arithmetic", "*"}}, "%": {{"arithmetic", "/"}}, "++": {{"step", " += 2"}},
}

func (g *glsl) token(i int) {
	t := g.ts[i]
	for _, c := range symbolChanges[t.text] {
		g.replace(c[0], i, i+1, c[1])
	}
	switch {
	case t.kind == numberToken:
		g.number(i)
	case t.kind == identToken:
		g.name(i)
	case t.text == "+" || t.text == "-":
		if !g.binary(i) {
			g.replace("sign", i, i+1, "")
			return
		}
		g.replace("sign", i, i+1, map[string]string{"+": "-", "-": "+"}[t.text])
		g.replace("dropterm", i, termEnd(g.ts, i+1), "")
	case t.text == "*" || t.text == "/" || t.text == "%":
		g.replace("dropfactor", i, operandEnd(g.ts, i+1), "")
	case t.text == "&&" || t.text == "||":
		g.replace("dropcondition", i, endOf(g.ts, i+1, "&&", "||", "?", ","), "")
		g.replace("dropcondition", beginOf(g.ts, i, "&&", "||", "=", ","), i+1, "")
	case t.text == "!":
		g.replace("negate", i, i+1, "")
	case t.text == "?":
		colon := endOf(g.ts, i+1, ":")
		end := endOf(g.ts, colon+1, ",")
		if colon+1 < end {
			g.replace("negate", i+1, end, g.text(colon+1, end)+" : "+g.text(i+1, colon))
		}
	}
}

// text is what stands in the source from token from to token to-1.
func (g *glsl) text(from, to int) string {
	var b strings.Builder
	for k := from; k < to; k++ {
		if k > from && g.ts[k].start > g.ts[k-1].end {
			b.WriteByte(' ')
		}
		b.WriteString(g.ts[k].text)
	}
	return b.String()
}

// binary reports whether the sign at i stands between two operands.
func (g *glsl) binary(i int) bool {
	p := g.ts[i-1]
	return p.kind == numberToken || p.kind == identToken && p.text != "return" || p.text == ")" || p.text == "]"
}

func (g *glsl) number(i int) {
	text := g.ts[i].text
	digits := strings.TrimSuffix(text, "u")
	suffix := text[len(digits):]
	if strings.Contains(digits, ".") && !strings.HasPrefix(digits, "0x") {
		if v, err := strconv.ParseFloat(digits, 64); err == nil {
			g.replace("constant", i, i+1, fmt.Sprintf("%.1f", v+1))
		}
		return
	}
	v, err := strconv.ParseInt(digits, 0, 64)
	if err != nil {
		return
	}
	format := "%d" + suffix
	if strings.HasPrefix(digits, "0x") {
		format = "%#x" + suffix
	}
	g.replace("constant", i, i+1, fmt.Sprintf(format, v+1))
	if v > 0 {
		g.replace("constant", i, i+1, fmt.Sprintf(format, v-1))
	}
}

var swizzles = map[string]string{"x": "y", "y": "x", "z": "y", "w": "z"}

func (g *glsl) name(i int) {
	t := g.ts[i].text
	member := i > 0 && g.ts[i-1].text == "."
	switch {
	case member && swizzles[t] != "":
		g.replace("swizzle", i, i+1, swizzles[t])
	case (t == "min" || t == "max") && g.ts[i+1].text == "(":
		other := map[string]string{"min": "max", "max": "min"}[t]
		g.replace("minmax", i, i+1, other)
		comma, end := endOf(g.ts, i+2, ","), closing(g.ts, i+1)
		g.replace("dropbound", i, end+1, "("+g.text(i+2, comma)+")")
		g.replace("dropbound", i, end+1, "("+g.text(comma+1, end)+")")
	case swaps[t] != "" && !g.declares(i):
		g.replace("swap", i, i+1, swaps[t])
	}
}

// declares reports whether the name at i is being declared.
func (g *glsl) declares(i int) bool {
	return i > 0 && typeNames[g.ts[i-1].text] || i > 1 && g.ts[i-1].text == "," && g.ts[i+1].text == "="
}

var typeNames = map[string]bool{"uint": true, "int": true, "float": true, "bool": true, "vec4": true, "Pixel": true, "const": true, "void": true}

// statements drops whole statements, and turns conditions round.
func (g *glsl) statements(in []bool) {
	for i := 1; i < len(g.ts); i++ {
		if !in[i] || !g.begins(i) {
			continue
		}
		t := g.ts[i].text
		switch {
		case t == "if":
			end := closing(g.ts, i+1)
			g.replace("negate", i+1, end+1, "(!"+g.text(i+1, end+1)+")")
			g.replace("dropstatement", i, g.statementEnd(i), ";")
		case t == "barrier":
			g.replace("dropbarrier", i, g.statementEnd(i), ";")
		case typeNames[t] || t == "for" || t == "while" || t == "else" || t == "return":
		default:
			g.replace("dropstatement", i, g.statementEnd(i), ";")
		}
	}
}

// begins reports whether a statement begins at i.
func (g *glsl) begins(i int) bool {
	if g.ts[i].kind != identToken {
		return false
	}
	switch g.ts[i-1].text {
	case ";":
		return !g.inHeader(i)
	case "{", "}", "else":
		return true
	case ")":
		before := opening(g.ts, i-1) - 1
		return before >= 0 && (g.ts[before].text == "if" || g.ts[before].text == "for" || g.ts[before].text == "while")
	}
	return false
}

// inHeader reports whether i lies between the brackets of a for.
func (g *glsl) inHeader(i int) bool {
	depth := 0
	for i--; i >= 0; i-- {
		switch g.ts[i].text {
		case ")":
			depth++
		case "(":
			if depth == 0 {
				return true
			}
			depth--
		case "{", "}":
			return false
		}
	}
	return false
}

// statementEnd returns the index after the statement that begins at i.
func (g *glsl) statementEnd(i int) int {
	if g.ts[i].text == "if" || g.ts[i].text == "for" {
		i = closing(g.ts, i+1) + 1
	}
	if g.ts[i].text == "{" {
		return closing(g.ts, i) + 1
	}
	if g.ts[i].text == "if" || g.ts[i].text == "for" {
		return g.statementEnd(i)
	}
	return endOf(g.ts, i) + 1
}
