package resnet

import (
	"strconv"
	"strings"

	"github.com/resnet-run/resnet-run/graph"
)

// evidence is what the tensors of a file say about the network, each dimension counted by how many tensors show it, so
// that one wrong tensor does not hide the network that the others belong to.
type evidence struct {
	block               Block
	stages              [MaxStages]stageEvidence
	core                CoreKind
	preActivated        bool
	norms, statistics   int // scales of norms, and running statistics
	projections         bool
	pooled              votes // which tensor of a shortcut is a convolution: 1 in downsample.0, 2 in downsample.1 after a pool
	stemKernel          int   // rows and columns of conv1, 0 when it is absent or odd
	deep                int   // tensors of a deep stem
	stemInner           [2]votes
	convPool            int            // tensors of a convolution in place of the stem's pool
	squeezes            map[[2]int]int // channels of blocks and of the middle of their squeeze-and-excitation modules
	efficient           int            // efficient channel attention modules
	scores              map[[2]int]int // channels of selective kernels and those that their scores are made of
	splits              votes          // 2 for a selective kernel of a basic block that sees half of its channels, 1 for one that sees all
	stemWidth           votes
	inChannels, classes votes
}

type stageEvidence struct {
	blocks   map[int]bool // indices of the blocks that have a first or second convolution
	out      votes        // channels that the blocks give
	inner    votes        // channels between the convolutions of a block
	core     votes        // channels of all branches of split attention, of one part of a multi-scale core
	perGroup votes        // input channels of each filter of the core
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
	e := &evidence{squeezes: map[[2]int]int{}, scores: map[[2]int]int{}}
	e.block, e.core, e.preActivated = kindOfBlocks(tensors)
	for name, shape := range tensors {
		d := shape.Dims()
		if strings.HasSuffix(name, ".running_mean") || strings.HasSuffix(name, ".running_var") {
			e.statistics++
		} else if len(d) == 1 && strings.HasSuffix(name, ".weight") {
			e.norms++
		}
		if stage, block, rest, ok := blockTensor(name); ok {
			e.seeBlock(stage, block, rest, d)
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
		case strings.HasPrefix(name, "maxpool."):
			e.convPool++
		case strings.HasPrefix(name, "bn1.") && len(d) == 1:
			e.stemWidth.add(d[0])
		case name == "fc.weight" && len(d) == 2, name == "fc.bias" && len(d) == 1:
			e.classes.add(d[0])
		}
	}
	return e
}

// seeBlock takes down the tensor called rest of a block.
func (e *evidence) seeBlock(stage, block int, rest string, d []int) {
	e.projections = e.projections || strings.HasPrefix(rest, "downsample.")
	if len(d) == 4 {
		switch rest {
		case "se.fc1.weight":
			e.squeezes[[2]int{d[1], d[0]}]++
		case "se.conv.weight":
			e.efficient++
		case "downsample.0.weight":
			e.pooled.add(1)
		case "downsample.1.weight":
			e.pooled.add(2)
		}
	}
	st := &e.stages[stage]
	if e.core != PlainCore && e.seeCore(st, block, rest, d) {
		return
	}
	if e.core == SelectiveKernelCore {
		rest = withoutModule(rest)
	}
	st.see(e.block, e.preActivated, block, rest, d)
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

// kindOfBlocks is Bottleneck when at least half of the blocks with a first convolution have a third, the core that most tensors of cores
// are of, and whether most norms stand before their convolutions.
func kindOfBlocks(tensors map[string]graph.Shape) (block Block, core CoreKind, preActivated bool) {
	first, third, before, behind := 0, 0, 0, 0
	cores := [...]int{SelectiveKernelCore: 0, SplitAttentionCore: 0, MultiScaleCore: 0}
	for name := range tensors {
		_, _, rest, ok := blockTensor(name)
		if !ok {
			continue
		}
		switch rest {
		case "conv1.weight", "conv1.conv.weight", "conv1.paths.0.conv.weight":
			first++
		case "conv3.weight", "conv3.conv.weight":
			third++
		case "norm1.weight", "norm2.weight":
			before++
		case "bn1.weight", "bn2.weight", "conv1.bn.weight", "conv2.bn.weight":
			behind++
		}
		switch layer, part, _ := strings.Cut(rest, "."); {
		case layer == "convs" || layer == "bns":
			cores[MultiScaleCore]++
		case strings.HasPrefix(part, "paths.") || strings.HasPrefix(part, "attn."):
			cores[SelectiveKernelCore]++
		case layer == "conv2" && (strings.HasPrefix(part, "fc") || strings.HasPrefix(part, "bn0.")):
			cores[SplitAttentionCore]++
		}
	}
	most := 0
	for kind, count := range cores {
		if count > most {
			core, most = CoreKind(kind), count
		}
	}
	if 2*most < first { // some stray tensors do not make a core
		core = PlainCore
	}
	if third > 0 && 2*third >= first {
		return Bottleneck, core, before > behind
	}
	return Basic, core, before > behind
}

// see takes down the dimensions d of the tensor called rest in a block of the given kind.
func (s *stageEvidence) see(kind Block, preActivated bool, block int, rest string, d []int) {
	layer, _, _ := strings.Cut(rest, ".")
	if len(d) == 4 && (layer == "conv1" || layer == "conv2") {
		s.seeIndex(block)
	}
	last := kind.convs()
	i, ok := layerIndex(layer, last)
	switch {
	case !ok || len(d) != 1 && len(d) != 4 || strings.HasPrefix(layer, "conv") == (len(d) == 1):
	case strings.HasPrefix(layer, "norm") != (preActivated && len(d) == 1):
	case preActivated && len(d) == 1: // norm i stands before convolution i
		if i > 1 {
			s.inner.add(d[0])
		}
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

// seeIndex takes down that there is a block of that index.
func (s *stageEvidence) seeIndex(block int) {
	if s.blocks == nil {
		s.blocks = map[int]bool{}
	}
	s.blocks[block] = true
}

// layerIndex reads "conv1" to "conv3", "bn1" to "bn3" and "norm1" to "norm3", up to last.
func layerIndex(layer string, last int) (int, bool) {
	digit, ok := "", false
	for _, kind := range []string{"conv", "bn", "norm"} {
		if digit, ok = strings.CutPrefix(layer, kind); ok {
			break
		}
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
