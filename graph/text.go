package graph

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// Text returns the graph's structure in a stable form, one line a value, that [Parse] reads back. Parameter data is
// not part of it. For example:
//
//	graph tiny
//	input %input : float32[1,3,8,8]
//	param @conv1.weight : float32[4,3,3,3]
//	%conv1 = conv2d(%input, @conv1.weight) stride=2,2 padding=1,1,1,1 : float32[1,4,4,4]
//	output %conv1
//
// Attributes that have their default value are left out: stride, dilation and groups 1, padding 0, flags false.
func (g *Graph) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "graph %s\n", g.Name)
	for _, v := range g.Inputs {
		fmt.Fprintf(&b, "input %s : %v\n", ref(v), v.Type)
	}
	for _, v := range g.Params {
		fmt.Fprintf(&b, "param %s : %v\n", ref(v), v.Type)
	}
	for _, n := range g.Nodes {
		fmt.Fprintf(&b, "%s\n", n)
	}
	for _, v := range g.Outputs {
		fmt.Fprintf(&b, "output %s\n", ref(v))
	}
	return b.String()
}

// String returns the node's line of the text form.
func (n *Node) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s = %s(", ref(n.Output), n.Op.Name())
	for i, v := range n.Inputs {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(ref(v))
	}
	b.WriteByte(')')
	for _, a := range printAttrs(n.Op) {
		fmt.Fprintf(&b, " %s=%s", a.key, a.value)
	}
	fmt.Fprintf(&b, " : %v", n.Output.Type)
	return b.String()
}

// OpText returns the op with its attributes as the text form has them, for example "conv2d stride=2,2".
func OpText(op Op) string {
	var b strings.Builder
	b.WriteString(op.Name())
	for _, a := range printAttrs(op) {
		fmt.Fprintf(&b, " %s=%s", a.key, a.value)
	}
	return b.String()
}

func ref(v *Value) string {
	if v.Kind == ParamValue {
		return "@" + v.Name
	}
	return "%" + v.Name
}

// Parse reads the form that [Graph.Text] writes. Empty lines and lines that begin with # are skipped. The types
// of nodes are inferred; one that is written and differs is an error.
//
// Errors name the line; those of shape inference are *[ShapeError].
func Parse(r io.Reader) (*Graph, error) {
	p := &parser{values: map[string]*Value{}}
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 1<<16)
	line := 0
	for sc.Scan() {
		line++
		text := strings.TrimSpace(sc.Text())
		if text == "" || text[0] == '#' {
			continue
		}
		if err := p.line(text); err != nil {
			return nil, fmt.Errorf("parse graph: line %d: %w", line, err)
		}
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("parse graph: line %d: %w", line+1, err)
	}
	if p.b == nil {
		return nil, fmt.Errorf("parse graph: want a line \"graph NAME\", got none")
	}
	g, err := p.b.Build()
	if err != nil {
		return nil, fmt.Errorf("parse graph: %w", err)
	}
	return g, nil
}

type parser struct {
	b      *Builder
	values map[string]*Value // by reference, with sigil
}

func (p *parser) line(text string) error {
	word, rest, _ := strings.Cut(text, " ")
	rest = strings.TrimSpace(rest)
	if p.b == nil {
		if word != "graph" {
			return fmt.Errorf("want \"graph NAME\" first, got %.40q", text)
		}
		p.b = NewBuilder(rest)
		return p.b.err
	}
	switch {
	case word == "input" || word == "param":
		return p.leaf(word, rest)
	case word == "output":
		v := p.values[rest]
		if v == nil {
			return fmt.Errorf("output %.40q: no such value", rest)
		}
		p.b.Output(v)
	case strings.HasPrefix(word, "%"):
		return p.node(text)
	default:
		return fmt.Errorf("want input, param, output or a node, got %.40q", text)
	}
	return p.b.err
}

func (p *parser) leaf(word, rest string) error {
	name, typ, ok := strings.Cut(rest, " : ")
	sigil := map[string]string{"input": "%", "param": "@"}[word]
	if !ok || !strings.HasPrefix(name, sigil) {
		return fmt.Errorf("want \"%s %sNAME : TYPE\", got %.60q", word, sigil, rest)
	}
	t, err := ParseTensorType(typ)
	if err != nil {
		return fmt.Errorf("%s %s: %w", word, name, err)
	}
	if word == "input" {
		p.values[name] = p.b.Input(name[1:], t)
	} else {
		p.values[name] = p.b.Param(name[1:], t, nil)
	}
	return p.b.err
}

// node reads "%name = op(refs) key=value ... : type".
func (p *parser) node(text string) error {
	name, rest, ok := strings.Cut(text, " = ")
	open, closing := strings.IndexByte(rest, '('), strings.IndexByte(rest, ')')
	if !ok || open < 0 || closing < open {
		return fmt.Errorf("want \"%%NAME = OP(INPUTS) ATTRS : TYPE\", got %.60q", text)
	}
	var inputs []*Value
	if args := rest[open+1 : closing]; args != "" {
		for _, a := range strings.Split(args, ", ") {
			v := p.values[a]
			if v == nil {
				return fmt.Errorf("node %s: input %.40q: no such value", name, a)
			}
			inputs = append(inputs, v)
		}
	}
	attrs, typ, hasType := strings.Cut(rest[closing+1:], " : ")
	op, err := parseOp(rest[:open], strings.Fields(attrs))
	if err != nil {
		return fmt.Errorf("node %s: %w", name, err)
	}
	v := p.b.Node(name[1:], op, inputs...)
	if p.b.err != nil {
		return p.b.err
	}
	if hasType {
		t, err := ParseTensorType(typ)
		if err != nil {
			return fmt.Errorf("node %s: %w", name, err)
		}
		if t != v.Type {
			return &ShapeError{Node: name[1:], Op: op.Name(), Attr: "result", Want: v.Type.String(), Got: t.String()}
		}
	}
	p.values[name] = v
	return nil
}
