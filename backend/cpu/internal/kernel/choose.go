package kernel

import (
	"fmt"
	"strings"
)

// Names lists the sets that the processor can run, the fastest first.
func Names() []string {
	var names []string
	for _, s := range available() {
		names = append(names, s.Name)
	}
	return names
}

// Choose returns the set of that name, or for "" the fastest that the processor has.
//
// Errors: a name that is unknown, or a set that needs what the processor has not.
func Choose(name string) (*Set, error) {
	sets := available()
	if name == "" {
		return sets[0], nil
	}
	for _, s := range sets {
		if s.Name == name {
			return s, nil
		}
	}
	return nil, fmt.Errorf("choose kernels %q: this processor runs %s", name, strings.Join(Names(), ", "))
}
