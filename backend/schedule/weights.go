package schedule

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"slices"
	"sync"

	"github.com/resnet-run/resnet-run/graph"
)

// keeper holds weights of compiled graphs, to compile them again when a member is lost: the caller's may be gone by then.
// Equal tensors are held once, as those of one model that is compiled for several batches.
type keeper struct {
	seed maphash.Seed
	mu   sync.Mutex
	held map[uint64][]*kept
}

type kept struct {
	tensor *graph.Tensor
	users  int
}

func newKeeper() *keeper { return &keeper{seed: maphash.MakeSeed(), held: map[uint64][]*kept{}} }

// keep returns the graph with parameters that stay, and what lets them go. The graph must be bound.
func (k *keeper) keep(g *graph.Graph) (*graph.Graph, func(), error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	sums := make([]uint64, len(g.Params))
	tensors := make(map[string]*graph.Tensor, len(g.Params))
	var order []*graph.Tensor
	for i, p := range g.Params {
		data, err := p.Data.Bytes()
		if err != nil {
			for i, t := range order {
				k.drop(sums[i], t)
			}
			return nil, nil, fmt.Errorf("keep parameter %q: %w", p.Name, err)
		}
		sums[i] = maphash.Bytes(k.seed, data)
		t := k.find(sums[i], p.Type, data)
		if t == nil {
			t = &kept{tensor: graph.NewTensor(p.Type)}
			copy(t.tensor.Data, data)
			k.held[sums[i]] = append(k.held[sums[i]], t)
		}
		t.users++
		tensors[p.Name], order = t.tensor, append(order, t.tensor)
	}
	drop := func() { // not of g: it would keep the caller's data alive
		for i, t := range order {
			k.drop(sums[i], t)
		}
	}
	own, err := g.Bind(tensors)
	if err != nil {
		drop()
		return nil, nil, err
	}
	return own, sync.OnceFunc(func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		drop()
	}), nil
}

func (k *keeper) find(sum uint64, typ graph.TensorType, data []byte) *kept {
	for _, h := range k.held[sum] {
		if h.tensor.Type == typ && bytes.Equal(h.tensor.Data, data) {
			return h
		}
	}
	return nil
}

func (k *keeper) drop(sum uint64, t *graph.Tensor) {
	list := k.held[sum]
	i := slices.IndexFunc(list, func(h *kept) bool { return h.tensor == t })
	if list[i].users--; list[i].users > 0 {
		return
	}
	if k.held[sum] = slices.Delete(list, i, i+1); len(k.held[sum]) == 0 {
		delete(k.held, sum)
	}
}
