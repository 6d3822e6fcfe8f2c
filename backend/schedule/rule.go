package schedule

import (
	"fmt"
	"strings"

	"github.com/resnet-run/resnet-run/graph"
)

// Rule forces nodes to a device. Of several rules the first that fits a node counts.
type Rule struct {
	// Nodes is a pattern in which * stands for any characters and ? for one. It fits a node by its name, or by the name of the
	// layer whose weights it has: after the passes the node "layer1.0.relu2" has those of "layer1.0.conv2".
	Nodes  string `json:"nodes"`
	Device string `json:"device"` // name of a member
}

// ParseRule reads "PATTERN=DEVICE".
func ParseRule(text string) (Rule, error) {
	nodes, device, ok := strings.Cut(text, "=")
	if !ok || nodes == "" || device == "" {
		return Rule{}, fmt.Errorf("read rule %.80q: want PATTERN=DEVICE, for example layer*.conv2=cpu", text)
	}
	return Rule{nodes, device}, nil
}

// fits tells whether the rule is about the node.
func (r Rule) fits(n *graph.Node) bool {
	if match(r.Nodes, n.Name) {
		return true
	}
	for _, v := range n.Inputs {
		if v.Kind == graph.ParamValue {
			if layer, _, ok := strings.Cut(v.Name, ".weight"); ok && match(r.Nodes, layer) {
				return true
			}
		}
	}
	return false
}

// match tells whether the pattern fits the whole name. It takes time proportional to the product of their lengths.
func match(pattern, name string) bool {
	p, n := 0, 0
	star, resume := -1, 0 // the last star, and where to go on when it takes one character more
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, resume = p, n
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == name[n]):
			p++
			n++
		case star >= 0:
			resume++
			p, n = star+1, resume
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
