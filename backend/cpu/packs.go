package cpu

import (
	"slices"
	"sync"

	"github.com/resnet-run/resnet-run/graph"
)

// pack is the packed weights of a node, one slice a block of filters.
type pack struct {
	key    packKey
	users  int
	blocks [][]float32
}

// packKey is what packed weights depend on, beside the device's kernels: neither batch nor extent of the picture.
type packKey struct {
	weights              any // graph.Source.Key; nil when they may change, and nobody can share them
	isWinograd           bool
	groups, cg, kg, r, s int
}

// packs are the packed weights of a device's executables. Those of one network at several batch sizes share them.
type packs struct {
	mu   sync.Mutex // held while weights are packed, too: whoever waits wants the same ones, as a rule
	held map[packKey]*pack
}

func newPacks() *packs { return &packs{held: map[packKey]*pack{}} }

// get returns the weights of that key; make packs them when no executable has them.
func (p *packs) get(key packKey, make func() ([][]float32, error)) (*pack, error) {
	if key.weights == nil {
		blocks, err := make()
		return &pack{blocks: blocks}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if k := p.held[key]; k != nil {
		k.users++
		return k, nil
	}
	blocks, err := make()
	if err != nil {
		return nil, err
	}
	k := &pack{key, 1, blocks}
	p.held[key] = k
	return k, nil
}

// drop ends one use of each. The last one's end lets the weights go.
func (p *packs) drop(list []*pack) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, k := range list {
		if k.users--; k.users == 0 {
			delete(p.held, k.key)
		}
	}
}

// weights packs the weights t for an executable, or finds them packed.
func (p *program) weights(t *graph.Tensor, key packKey, order func(weights []float32) [][]float32) [][]float32 {
	key.weights = t.Key()
	k, err := p.packs.get(key, func() ([][]float32, error) {
		w, err := p.read(t)
		if err != nil {
			return nil, err
		}
		return order(w), nil
	})
	if err != nil { // the tensor tells it to compile
		return nil
	}
	if key.weights != nil {
		p.used = append(p.used, k)
	}
	return k.blocks
}

// read returns the elements of t, good until the next call. One room serves all lazy tensors of a graph.
func (p *program) read(t *graph.Tensor) ([]float32, error) {
	if !t.IsLazy() {
		return t.Float32s(), nil
	}
	n := t.Type.Shape.Elems()
	p.room = slices.Grow(p.room[:0], n)[:n]
	return p.room, t.ReadFloat32s(p.room)
}

// rooms makes memory for n blocks of so many elements, one behind the other, so that a micro-kernel can ask for the next while it uses one.
func rooms(n int, elems func(i int) int) [][]float32 {
	all := 0
	for i := range n {
		all += elems(i)
	}
	room, blocks := make([]float32, all), make([][]float32, n)
	wantHugePages(room)
	for i := range blocks {
		blocks[i], room = room[:elems(i):elems(i)], room[elems(i):]
	}
	return blocks
}
