package resnet

import (
	"slices"
	"strconv"
	"strings"

	"github.com/resnet-run/resnet-run/graph"
)

// evidence is what the tensors of a file say about the network, each dimension counted by how many tensors show it, so
// that one wrong tensor does not hide the network that the others belong to.
type evidence struct {
	block               Block
	stages              [MaxStages]stageEvidence
	projections         bool
	pooled              votes // which tensor of a shortcut is a convolution: 1 in downsample.0, 2 in downsample.1 after a pool
	stemKernel          int   // rows and columns of conv1, 0 when it is absent or odd
	deep                int   // tensors of a deep stem
	stemInner           [2]votes
	squeezes            map[[2]int]int // channels of blocks and of the middle of their squeeze-and-excitation modules
	stemWidth           votes
	inChannels, classes votes
}

type stageEvidence struct {
	blocks   map[int]bool // indices of the blocks that have a first or second convolution
	out      votes        // channels that the blocks give
	inner    votes        // channels between the convolutions of a block
	perGroup votes        // input channels of each filter of the second convolution
}

// votes counts values by how often they are seen.
type votes map[int]int

func (v *votes) add(n int) {
	if n < 1 || n > maxChannels {
		return
	}
	if *v == nil {
		*v = votes{}
	}
	(*v)[n]++
}

// winner is the value seen most often, the smallest of several, otherwise when there is none.
func (v votes) winner(otherwise int) int {
	best, count := otherwise, 0
	for n, c := range v {
		if c > count || c == count && n < best {
			best, count = n, c
		}
	}
	return best
}

// survey reads each tensor once.
func survey(tensors map[string]graph.Shape) *evidence {
	e := &evidence{block: kindOfBlocks(tensors), squeezes: map[[2]int]int{}}
	for name, shape := range tensors {
		d := shape.Dims()
		stage, block, rest, ok := blockTensor(name)
		if ok {
			e.projections = e.projections || strings.HasPrefix(rest, "downsample.")
			if len(d) == 4 && rest == "se.fc1.weight" {
				e.squeezes[[2]int{d[1], d[0]}]++
			}
			if len(d) == 4 && rest == "downsample.0.weight" {
				e.pooled.add(1)
			} else if len(d) == 4 && rest == "downsample.1.weight" {
				e.pooled.add(2)
			}
			e.stages[stage].see(e.block, block, rest, d)
			continue
		}
		switch {
		case name == "conv1.weight" && len(d) == 4:
			e.stemWidth.add(d[0])
			e.inChannels.add(d[1])
			if d[2] == d[3] {
				e.stemKernel = d[2]
			}
		case strings.HasPrefix(name, "conv1."):
			e.seeDeepStem(name, d)
		case strings.HasPrefix(name, "bn1.") && len(d) == 1:
			e.stemWidth.add(d[0])
		case name == "fc.weight" && len(d) == 2, name == "fc.bias" && len(d) == 1:
			e.classes.add(d[0])
		}
	}
	return e
}

// seeDeepStem takes down a tensor conv1.0 to conv1.6: convolutions 0, 3 and 6, batch norms 1 and 4.
func (e *evidence) seeDeepStem(name string, d []int) {
	i, _, _ := strings.Cut(strings.TrimPrefix(name, "conv1."), ".")
	norm := i == "1" || i == "4"
	if len(d) != 4 && !norm || len(d) != 1 && norm {
		return
	}
	switch i {
	case "0":
		e.inChannels.add(d[1])
		e.stemInner[0].add(d[0])
	case "1":
		e.stemInner[0].add(d[0])
	case "3":
		e.stemInner[0].add(d[1])
		e.stemInner[1].add(d[0])
	case "4":
		e.stemInner[1].add(d[0])
	case "6":
		e.stemInner[1].add(d[1])
		e.stemWidth.add(d[0])
	default:
		return
	}
	e.deep++
}

// kindOfBlocks is Bottleneck when at least half of the blocks with a first convolution have a third.
func kindOfBlocks(tensors map[string]graph.Shape) Block {
	first, third := 0, 0
	for name := range tensors {
		if _, _, rest, ok := blockTensor(name); ok {
			switch rest {
			case "conv1.weight":
				first++
			case "conv3.weight":
				third++
			}
		}
	}
	if third > 0 && 2*third >= first {
		return Bottleneck
	}
	return Basic
}

// see takes down the dimensions d of the tensor called rest in a block of the given kind.
func (s *stageEvidence) see(kind Block, block int, rest string, d []int) {
	layer, _, _ := strings.Cut(rest, ".")
	if len(d) == 4 && (layer == "conv1" || layer == "conv2") {
		if s.blocks == nil {
			s.blocks = map[int]bool{}
		}
		s.blocks[block] = true
	}
	last := kind.convs()
	i, ok := layerIndex(layer, last)
	switch {
	case !ok || len(d) != 1 && len(d) != 4 || strings.HasPrefix(layer, "bn") != (len(d) == 1):
	case i == last:
		s.out.add(d[0])
		if len(d) == 4 {
			s.inner.add(d[1])
		}
	default:
		s.inner.add(d[0])
		if i == 2 && len(d) == 4 {
			s.perGroup.add(d[1])
		}
	}
}

// layerIndex reads "conv1" to "conv3" and "bn1" to "bn3", up to last.
func layerIndex(layer string, last int) (int, bool) {
	digit, ok := strings.CutPrefix(layer, "conv")
	if !ok {
		digit, ok = strings.CutPrefix(layer, "bn")
	}
	if !ok || len(digit) != 1 || digit[0] < '1' || digit[0] > '0'+byte(last) {
		return 0, false
	}
	return int(digit[0] - '0'), true
}

// blockTensor splits "layer2.10.conv1.weight" into the stage (from 0), the block and "conv1.weight".
func blockTensor(name string) (stage, block int, rest string, ok bool) {
	name, ok = strings.CutPrefix(name, "layer")
	parts := strings.SplitN(name, ".", 3)
	if !ok || len(parts) != 3 || len(parts[0]) != 1 || parts[0][0] < '1' || parts[0][0] > '0'+MaxStages {
		return 0, 0, "", false
	}
	n, err := strconv.Atoi(parts[1])
	if err != nil || n < 0 || n >= maxDepth {
		return 0, 0, "", false
	}
	return int(parts[0][0] - '1'), n, parts[2], true
}

// depth is the number of blocks of the stage: up to the last block below which at least half of the blocks exist, so
// that a block that is missing is found out and one with an absurd index is not believed.
func (s *stageEvidence) depth() int {
	depth, seen := 0, 0
	for i := 0; seen < len(s.blocks) && i < 2*len(s.blocks); i++ {
		if s.blocks[i] {
			seen++
			if 2*seen >= i+1 {
				depth = i + 1
			}
		}
	}
	return depth
}

// squeeze is the ratio that most modules fit, the usual one where it does as well as others, and 0 when there are none.
func (e *evidence) squeeze() int {
	const usual = 16
	best, most := 0, 0
	ratios := []int{usual}
	for pair := range e.squeezes {
		if pair[1] > 0 {
			ratios = append(ratios, min(max(pair[0]/pair[1], 1), maxChannels))
		}
	}
	slices.Sort(ratios[1:]) // of several that fit as well the smallest
	ratios = slices.Compact(ratios)
	for _, r := range ratios[:min(len(ratios), 64)] { // a network has one
		fit := 0
		for pair, count := range e.squeezes {
			if (Config{Squeeze: r}).squeezed(pair[0]) == pair[1] {
				fit += count
			}
		}
		if fit > most {
			best, most = r, fit
		}
	}
	if best == 0 && len(e.squeezes) > 0 {
		return usual
	}
	return best
}

// config is the network that the evidence speaks for. It may be invalid.
func (e *evidence) config(opts DetectOptions) Config {
	c := Config{Block: e.block, StrideOn1x1: opts.StrideOn1x1 && e.block == Bottleneck, Epsilon: 1e-5}
	var groups, widthPerGroup votes
	for s := range e.stages {
		st := &e.stages[s]
		if c.Depths[s] = st.depth(); c.Depths[s] == 0 {
			break
		}
		c.Widths[s] = st.out.winner(0) / c.Block.Expansion()
		inner, perGroup := st.inner.winner(0), st.perGroup.winner(0)
		if c.Block == Bottleneck && perGroup > 0 && c.Widths[s] > 0 {
			groups.add(inner / perGroup)
			if 64*perGroup%c.Widths[s] == 0 {
				widthPerGroup.add(64 * perGroup / c.Widths[s])
			}
		}
	}
	c.Groups, c.WidthPerGroup = groups.winner(1), widthPerGroup.winner(64)
	stages := c.Stages()
	c.Stem, c.InputSize, c.Classes = ImageNetStem, 224, 1000
	if e.stemKernel == 0 && e.deep > 1 {
		c.Stem = DeepStem
		for i := range c.StemInner {
			c.StemInner[i] = e.stemInner[i].winner(32)
		}
	} else if e.stemKernel == 3 || e.stemKernel != 7 && stages < MaxStages {
		c.Stem, c.InputSize, c.Classes = CIFARStem, 32, 10
		if stages == MaxStages {
			c.PoolKernel = 4
		}
	}
	c.StemWidth = e.stemWidth.winner(c.Widths[0])
	c.Squeeze = e.squeeze()
	c.InChannels, c.Classes = e.inChannels.winner(3), e.classes.winner(c.Classes)
	c.Shortcut = opts.Shortcut
	if c.Shortcut == 0 {
		c.Shortcut = Projection
		if e.pooled.winner(1) == 2 {
			c.Shortcut = PoolProjection
		} else if !e.projections && (stages > 1 || stages == 1 && c.StemWidth != c.outWidth(0)) {
			c.Shortcut = ZeroPad
		}
	}
	c.Name = c.CanonicalName()
	return c
}
