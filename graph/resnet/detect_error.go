package resnet

import (
	"fmt"
	"sort"
	"strings"

	"github.com/resnet-run/resnet-run/graph"
)

// DetectError says how the tensors of a file differ from the network that they fit best. All lists are sorted by name.
type DetectError struct {
	Tensors    int      // how many there are, num_batches_tracked not counted
	Network    string   // the network they were held against; empty when not one tensor belongs to any
	Nearest    string   // the member of the family with the fewest differences; often the same as Network
	Missing    []string // parameters of the network that are not among the tensors
	Unexpected []string // tensors that the network has not
	Mismatched []Mismatch

	want map[string]graph.Shape // parameters of Network
}

// Mismatch is a tensor of another shape than the network's parameter of that name.
type Mismatch struct {
	Name      string
	Want, Got graph.Shape
}

// maxListed is how many names an error's text lists of each kind.
const maxListed = 8

// Error lists up to eight names of each kind, and how many there are.
func (e *DetectError) Error() string {
	if e.Tensors == 0 {
		return "detect network: want the tensors of a ResNet, got none"
	}
	var b strings.Builder
	if e.Network == "" {
		fmt.Fprintf(&b, "detect network: none of the %d tensors belongs to a ResNet", e.Tensors)
	} else {
		fmt.Fprintf(&b, "detect network: the tensors do not fit %s", e.Network)
		if e.Nearest != "" && e.Nearest != e.Network {
			fmt.Fprintf(&b, " (nearest member: %s)", e.Nearest)
		}
	}
	mismatched := make([]string, len(e.Mismatched))
	for i, m := range e.Mismatched {
		mismatched[i] = fmt.Sprintf("%s (want %v, got %v)", printable(m.Name), m.Want, m.Got)
	}
	list(&b, "missing", e.Missing, printable)
	list(&b, "left over", e.Unexpected, printable)
	list(&b, "of another shape", mismatched, func(s string) string { return s })
	return b.String()
}

func list(b *strings.Builder, what string, names []string, show func(string) string) {
	if len(names) == 0 {
		return
	}
	fmt.Fprintf(b, "; %d %s: ", len(names), what)
	for i, n := range names[:min(len(names), maxListed)] {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(show(n))
	}
	if len(names) > maxListed {
		b.WriteString(", …")
	}
}

// printable quotes names that could garble a terminal or fill it.
func printable(name string) string {
	const longest = 100
	odd := func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == ',' }
	if name == "" || len(name) > longest || strings.ContainsFunc(name, odd) {
		return fmt.Sprintf("%.*q", longest, name)
	}
	return name
}

// compare fills in the differences between e.want and the tensors.
func (e *DetectError) compare(tensors map[string]graph.Shape) {
	for _, name := range sortedNames(e.want) {
		got, ok := tensors[name]
		if !ok {
			e.Missing = append(e.Missing, name)
		} else if want := e.want[name]; got != want {
			e.Mismatched = append(e.Mismatched, Mismatch{name, want, got})
		}
	}
	for _, name := range sortedNames(tensors) {
		if _, ok := e.want[name]; !ok {
			e.Unexpected = append(e.Unexpected, name)
		}
	}
	e.want = nil
}

func sortedNames(m map[string]graph.Shape) []string {
	names := make([]string, 0, len(m))
	for n := range m {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}
