package plan

// window is the part of a tensor that a dispatch binds, in bytes; of size 0 it is the whole.
type window struct{ offset, size uint64 }

// of is the part of a place.
func (w window) of(r Ref) Ref {
	if w.size > 0 {
		r.Offset, r.Size = r.Offset+w.offset, w.size
	}
	return r
}

// slabs are how the tensors of conv2d_packed.comp divide, in texels: a group has inputs of its own, a group and a block of filters have weights and
// results of their own.
type slabs struct {
	batch, groups, blocks int
	filters, block        int // of a group, and of a block
	input, inputs         int // of a group in a picture, and of all pictures
	weights               int // of a block
	plane, outputs        int // four filters of a picture, and of all pictures
}

// The push constants of conv2d_packed.comp that say what there is of a group.
const (
	pushFilters = 8
	pushBlocks  = 9
)

// partition divides a dispatch of conv2d_packed.comp whose texel buffers would be beyond the device's limit into several, of some groups each or of some
// blocks of filters of one group. Each binds the part of the tensors that it needs. Where no division helps the dispatch stays as it is.
func (s slabs) partition(lim Limits, k *kernel) []*kernel {
	limit := int(lim.MaxTexelBufferElements)
	beyond := s.groups*s.blocks*s.weights > limit || s.batch == 1 && s.inputs > limit
	if !k.isTexel(1) || !beyond {
		return []*kernel{k}
	}
	texel, align := int(k.variant.TexelBytes()), int(lim.alignment())
	groups := func(most int) int {
		return aligned(s.groups, most, align, s.input*texel, s.blocks*s.weights*texel, vectors(s.filters)*s.plane*texel)
	}
	if each := groups(min(limit/(s.blocks*s.weights), s.perDispatch(limit))); each > 0 {
		return s.byGroups(k, each)
	}
	if groups(1) == 1 {
		if each := aligned(s.blocks, limit/s.weights, align, s.weights*texel, s.block/4*s.plane*texel); each > 0 {
			return s.byBlocks(k, each)
		}
	}
	return []*kernel{k}
}

// perDispatch is how many groups have inputs that a texel buffer holds; with several pictures their inputs lie apart, and all are bound.
func (s slabs) perDispatch(limit int) int {
	if s.batch > 1 {
		return s.groups
	}
	return limit / max(s.input, 1)
}

// aligned is how many of n a dispatch takes: at most so many, about as many as the others, and so that each begins in all tensors where a binding
// may; bytes are what one takes in each. It is 0 where that cannot be.
func aligned(n, most, align int, bytes ...int) int {
	if most >= n {
		return n
	}
	step := 1
	for _, b := range bytes {
		step = max(step, align/min(b&-b, align)) // alignments are powers of two
	}
	if most = most / step * step; most == 0 {
		return 0
	}
	return ceilDiv(ceilDiv(n, ceilDiv(n, most)), step) * step
}

// byGroups are dispatches of so many groups each.
func (s slabs) byGroups(k *kernel, each int) (list []*kernel) {
	perGroup := vectors(s.filters) * s.plane
	for g := 0; g < s.groups; g += each {
		n := min(each, s.groups-g)
		part := s.part(k, g*s.input, n*s.input, g*s.blocks*s.weights, n*s.blocks*s.weights, g*perGroup, n*perGroup)
		part.groups[2] = u32(n)
		list = append(list, part)
	}
	return list
}

// byBlocks are dispatches of so many blocks of filters each.
func (s slabs) byBlocks(k *kernel, each int) (list []*kernel) {
	for g := range s.groups {
		for b := 0; b < s.blocks; b += each {
			n := min(each, s.blocks-b)
			filters := min(n*s.block, s.filters-b*s.block)
			part := s.part(k, g*s.input, s.input, (g*s.blocks+b)*s.weights, n*s.weights, (g*vectors(s.filters)+b*s.block/4)*s.plane, vectors(filters)*s.plane)
			part.push[pushFilters], part.push[pushBlocks] = u32(filters), u32(n)
			part.groups[1], part.groups[2] = u32(n), 1
			list = append(list, part)
		}
	}
	return list
}

// part is the dispatch with windows of its tensors, from one texel on and so many; of several pictures a window of inputs and results goes to their end.
func (s slabs) part(k *kernel, input, inputs, weights, allWeights, output, outputs int) *kernel {
	if s.batch > 1 {
		inputs, outputs = s.inputs-input, s.outputs-output
	}
	texel := k.variant.TexelBytes()
	in := window{uint64(input) * texel, uint64(inputs) * texel}
	out := window{uint64(output) * texel, uint64(outputs) * texel}
	shortcut := out
	if k.args[2] == k.args[0] { // there is none
		shortcut = in
	}
	part := *k
	part.push = append([]uint32(nil), k.push...)
	part.windows = []window{in, {uint64(weights) * texel, uint64(allWeights) * texel}, shortcut, out}
	return &part
}
