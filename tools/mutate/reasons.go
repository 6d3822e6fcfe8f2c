package main

import (
	"errors"
	"fmt"
	"os"
	"sort"
	"strings"
)

// reason is why a mutant survives.
type reason struct {
	// equivalent: no input that a caller may give can tell it from the original, so that it does not count. Else it
	// counts as a survivor, and the text explains it.
	equivalent bool
	// allowed: an input can, but the contract lets it be: it does not count either, and is said apart.
	allowed bool
	text    string
	line    int
}

// readReasons reads a file of lines "ID kind reason", where kind is "equivalent", "allowed" or "explained". Empty lines and those that
// begin with # are left out.
//
// Errors: a line of another form, a kind that does not exist, an ID that stands twice.
func readReasons(path string) (map[string]reason, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	out := map[string]reason{}
	for i, l := range strings.Split(string(data), "\n") {
		l = strings.TrimSpace(l)
		if l == "" || l[0] == '#' {
			continue
		}
		id, rest, _ := strings.Cut(l, " ")
		kind, text, _ := strings.Cut(strings.TrimSpace(rest), " ")
		text = strings.TrimSpace(text)
		switch {
		case kind != "equivalent" && kind != "allowed" && kind != "explained":
			return nil, fmt.Errorf("%s:%d: want \"equivalent\", \"allowed\" or \"explained\" after the ID, got %.40q", path, i+1, kind)
		case text == "":
			return nil, fmt.Errorf("%s:%d: want a reason, got none", path, i+1)
		case out[id].text != "":
			return nil, fmt.Errorf("%s:%d: %s stands in line %d already", path, i+1, id, out[id].line)
		}
		out[id] = reason{kind != "explained", kind == "allowed", text, i + 1}
	}
	return out, nil
}

// stale lists the reasons that do not hold: of mutants that do not exist any more, and of some that do not survive.
// results are those of this run; mutants that it left out are not judged.
func stale(reasons map[string]reason, generated []mutant, results []result) error {
	exists := map[string]bool{}
	for _, m := range generated {
		exists[m.ID] = true
	}
	var errs []error
	for id, r := range reasons {
		if !exists[id] {
			errs = append(errs, fmt.Errorf("line %d: no mutant %s: its line of code has changed", r.line, id))
		}
	}
	for _, res := range results {
		if r, ok := reasons[res.ID]; ok && res.Outcome != survived && res.Outcome != unitTests {
			errs = append(errs, fmt.Errorf("line %d: %s does not survive: %s %s", r.line, res.ID, res.Outcome, res.Case))
		}
	}
	sort.Slice(errs, func(i, j int) bool { return errs[i].Error() < errs[j].Error() })
	return errors.Join(errs...)
}
