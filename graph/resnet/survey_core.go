package resnet

import "strings"

// seeCore takes down a tensor of the core of a block; ok is false for one that is none.
func (e *evidence) seeCore(st *stageEvidence, block int, rest string, d []int) (ok bool) {
	if len(d) == 0 {
		return false
	}
	layer, part, _ := strings.Cut(rest, ".")
	switch {
	case e.core == SplitAttentionCore && layer == "conv2":
		switch inner, _, _ := strings.Cut(part, "."); {
		case inner == "conv" && len(d) == 4:
			st.seeIndex(block)
			st.core.add(d[0])
			st.perGroup.add(d[1])
		case inner == "bn0" && len(d) == 1, inner == "fc2":
			st.core.add(d[0])
		}
		return true
	case e.core == MultiScaleCore && layer == "convs" && len(d) == 4:
		st.seeIndex(block)
		st.core.add(d[0])
		st.perGroup.add(d[1])
		return true
	case e.core == MultiScaleCore && layer == "bns" && len(d) == 1:
		st.core.add(d[0])
		return true
	case e.core == SelectiveKernelCore && strings.HasPrefix(part, "paths."):
		e.seePath(st, block, part, d)
		return true
	case e.core == SelectiveKernelCore && strings.HasPrefix(part, "attn."):
		if part == "attn.fc_reduce.weight" && len(d) == 4 {
			e.scores[[2]int{d[1], d[0]}]++
		}
		return true
	}
	return false
}

// seePath takes down a tensor of one of the selective kernels. In a basic block that is not the first of its stage, the channels of a
// picture are as many as those that the kernels give.
func (e *evidence) seePath(st *stageEvidence, block int, part string, d []int) {
	st.inner.add(d[0])
	if len(d) != 4 {
		return
	}
	st.seeIndex(block)
	st.perGroup.add(d[1])
	if block > 0 && d[1] > 0 {
		e.splits.add(d[0] / d[1])
	}
}

// withoutModule takes the name of the module away that holds a convolution and its norm: "conv3.bn.bias" becomes "bn3.bias".
func withoutModule(rest string) string {
	parts := strings.SplitN(rest, ".", 3)
	if len(parts) != 3 || len(parts[0]) != len("conv1") || !strings.HasPrefix(parts[0], "conv") {
		return rest
	}
	switch digit := parts[0][len("conv"):]; parts[1] {
	case "conv":
		return "conv" + digit + "." + parts[2]
	case "bn":
		return "bn" + digit + "." + parts[2]
	}
	return rest
}
