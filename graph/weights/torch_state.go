package weights

import (
	"fmt"
	"slices"
	"sort"
	"strings"
)

// maxExtraElems is how many elements a file's tensors may have beyond one for each byte of storage.
const maxExtraElems = 1 << 20

// useStateDict finds the state dict in the value of a PyTorch file and fills the tensors of f. resolve returns the
// bytes behind a storage, bytes is the size of all storages together.
func (f *File) useStateDict(p *torchPickle, root any, o Options, bytes int64, resolve func(*pyStorage) (*storage, error)) error {
	f.opaque = make([]string, 0, len(p.opaque))
	for name := range p.opaque {
		f.opaque = append(f.opaque, "class or function "+quote(name))
	}
	dict, err := findStateDict(root, o.StateDict)
	if err != nil {
		return err
	}
	f.refused = map[string]string{}
	seen := make(map[string]bool, len(dict.entries))
	elems, limit := int64(0), maxExtraElems+bytes
	for _, e := range dict.entries {
		name, ok := e.key.(string)
		if !ok {
			continue
		}
		if seen[name] {
			return badTensor(name, 0, 0, "the state dict has two entries of this name")
		}
		if seen[name] = true; len(seen) > maxTensors {
			return badTensor(name, 0, 0, "want at most %d entries in the state dict", maxTensors)
		}
		t, ok := e.value.(*pyTensor)
		if !ok {
			f.refused[name] = describe(e.value)
			continue
		}
		src, err := resolve(t.storage)
		if err != nil {
			return withTensorName(err, name)
		}
		if f.tensors[name], err = t.place(name, src); err != nil {
			return err
		}
		n := int64(f.tensors[name].shape.Elems())
		if elems += min(n, limit+1); elems > limit {
			return badTensor(name, t.at, t.at+1, "%d elements: want at most %d in all tensors together of a file with %d bytes of storage", n, limit, bytes)
		}
	}
	return nil
}

func withTensorName(err error, name string) error {
	if fe, ok := err.(*FormatError); ok && fe.Tensor == "" {
		fe.Tensor = name
	}
	return err
}

// candidate is a dict that may be the state dict, with its path from the root, "" for the root itself.
type candidate struct {
	path    string
	dict    *pyDict
	tensors int
	matrix  bool // holds a tensor of two dimensions or more, as every network has
}

// findStateDict returns the dict that holds the tensors: the root, or a dict at most two levels below it, such as
// the value of "state_dict" or "model". Dicts without any tensor of two or more dimensions (scaler states, class weights) count
// only when there is no other. The same dict under two keys is one.
func findStateDict(root any, want string) (*pyDict, error) {
	rootDict, ok := root.(*pyDict)
	if !ok {
		if o, ok := root.(*pyOpaque); ok {
			return nil, bad(0, 0, "want a state dict, got a whole object of %s: save its state_dict() instead", quote(o.class))
		}
		return nil, bad(0, 0, "want a state dict, got %s", describe(root))
	}
	all := candidates(rootDict)
	if want != "" {
		for _, c := range all {
			if c.path == want {
				return c.dict, nil
			}
		}
		return nil, bad(0, 0, "state dict %s: not found, the file has %s", quote(want), listCandidates(all))
	}
	best := all
	if slices.ContainsFunc(all, func(c candidate) bool { return c.matrix }) {
		best = slices.DeleteFunc(slices.Clone(all), func(c candidate) bool { return !c.matrix })
	}
	switch len(best) {
	case 0:
		return nil, bad(0, 0, "want a state dict, got %s without tensors by name", describe(root))
	case 1:
		return best[0].dict, nil
	}
	return nil, bad(0, 0, "want one state dict, got %s: say which one is meant", listCandidates(best))
}

// candidates returns the dicts that hold tensors by name, the root and down to two levels below it, nearest first. It
// looks at each dict once, however often the file refers to it.
func candidates(root *pyDict) []candidate {
	var found []candidate
	visited := map[*pyDict]bool{root: true}
	level := []candidate{{dict: root}}
	for depth := 0; depth <= maxWrapping && len(found) < maxCandidates; depth++ {
		var below []candidate
		for _, c := range level {
			for _, e := range c.dict.entries {
				key, named := e.key.(string)
				if !named {
					continue
				}
				switch v := e.value.(type) {
				case *pyTensor:
					c.tensors++
					c.matrix = c.matrix || len(v.size.items) >= 2
				case *pyDict:
					if !visited[v] && len(key) <= maxQuoted {
						visited[v] = true
						below = append(below, candidate{path: strings.TrimPrefix(c.path+"."+key, "."), dict: v})
					}
				}
			}
			if c.tensors > 0 {
				found = append(found, c)
			}
		}
		level = below
	}
	return found
}

const (
	maxWrapping   = 2  // levels from the root to a state dict
	maxCandidates = 64 // enough to say that a file holds too many
)

func listCandidates(all []candidate) string {
	if len(all) == 0 {
		return "none"
	}
	var names []string
	for _, c := range all[:min(len(all), 8)] {
		path := "the root"
		if c.path != "" {
			path = quote(c.path)
		}
		names = append(names, fmt.Sprintf("%s (%d tensors)", path, c.tensors))
	}
	sort.Strings(names)
	return strings.Join(names, ", ")
}
