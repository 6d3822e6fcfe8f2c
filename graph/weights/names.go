package weights

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/resnet-run/resnet-run/graph"
)

// Scheme is the convention by which a file names the tensors of a ResNet.
type Scheme string

// The schemes that [Canonical] knows. Plain ResNets have the same names in timm as in torchvision, so such files are
// reported as torchvision; timm is reported for names that only its variants have: those of deep stems, average-pooled
// shortcuts, attention and other cores, which are canonical as they are, and those of networks with pre-activation (stem.*,
// stages.*, head.*).
const (
	SchemeTorchvision Scheme = "torchvision"
	SchemeTimm        Scheme = "timm"
	SchemeHuggingFace Scheme = "huggingface" // transformers: ResNetModel, ResNetForImageClassification, BitModel, BitForImageClassification
	SchemeCIFAR       Scheme = "cifar"       // akamaster, kuangliu: linear.*, shortcut.0.*, shortcut.1.*
)

// Names maps canonical names, which are torchvision's, to the names in a file:
//
//	conv1.weight, bn1.{weight,bias,running_mean,running_var}, fc.{weight,bias}
//	layer{1..4}.{block}.conv{1,2,3}.weight, layer{1..4}.{block}.bn{1,2,3}.*
//	layer{1..4}.{block}.downsample.0.weight, layer{1..4}.{block}.downsample.1.*
//	and, in timm's variants, conv1.{0,3,6}.weight, conv1.{1,4}.*, layer{1..4}.{block}.downsample.1.weight, ….downsample.2.*
//	and, with pre-activation, layer{1..4}.{block}.norm{1,2,3}.*, ….downsample.conv.weight, norm.*
type Names struct {
	Scheme Scheme
	// Prefix is what all names had in common before the scheme's names, for example "module.".
	Prefix string
	// ToFile has every tensor that is not in Ignored. Names that the scheme does not know stand under themselves
	// without the prefix, so that whoever builds the network can list what is left over.
	ToFile map[string]string
	// Shapes are those of the tensors in ToFile, as networks have them: kernels of one dimension [K,C,R] are [K,C,R,1], and a
	// classifier that is a convolution [K,C,1,1] is [K,C].
	Shapes map[string]graph.Shape
	// Ignored are names in the file of tensors that mean nothing at inference (num_batches_tracked), sorted.
	Ignored []string
}

// wrapperPrefixes are put before all names by what a model was wrapped in when it was saved.
var wrapperPrefixes = []string{"module.", "_orig_mod.", "model.", "net.", "network.", "backbone.", "state_dict."}

// Canonical finds the naming scheme of a state dict and translates its names. Prefixes such as "module." are taken
// off only when all names share them. shapes is what [File.Shapes] returns.
//
// # Errors
//
// The names belong to no scheme, to two schemes at once, or two of them mean the same tensor.
func Canonical(shapes map[string]graph.Shape) (Names, error) {
	n := Names{ToFile: make(map[string]string, len(shapes)), Shapes: make(map[string]graph.Shape, len(shapes))}
	inFile := make([]string, 0, len(shapes))
	for name := range shapes {
		inFile = append(inFile, name)
	}
	sort.Strings(inFile)
	if len(inFile) == 0 {
		return n, errors.New("translate tensor names: the file has no tensors")
	}
	n.Prefix = commonPrefix(inFile)
	short := make([]string, 0, len(inFile))
	for _, name := range inFile {
		s := name[len(n.Prefix):]
		if s == "num_batches_tracked" || strings.HasSuffix(s, ".num_batches_tracked") {
			n.Ignored = append(n.Ignored, name)
			continue
		}
		short = append(short, s)
	}
	var err error
	if n.Scheme, err = detectScheme(short); err != nil {
		return n, err
	}
	for _, s := range short {
		c := s
		if t, ok := translate(n.Scheme, s); ok {
			c = t
		}
		if other, taken := n.ToFile[c]; taken {
			return n, fmt.Errorf("translate tensor names: %s and %s are both %s", quote(other), quote(n.Prefix+s), quote(c))
		}
		n.ToFile[c] = n.Prefix + s
		n.Shapes[c] = canonicalShape(c, shapes[n.Prefix+s])
	}
	return n, nil
}

// canonicalShape is the shape that a network has for the tensor of that canonical name.
func canonicalShape(name string, s graph.Shape) graph.Shape {
	d := s.Dims()
	switch {
	case name == "fc.weight" && len(d) == 4 && d[2] == 1 && d[3] == 1:
		return graph.NewShape(d[0], d[1])
	case len(d) == 3 && strings.HasSuffix(name, ".weight"):
		return graph.NewShape(d[0], d[1], d[2], 1)
	}
	return s
}

// commonPrefix is the longest chain of wrapper prefixes that all names share.
func commonPrefix(names []string) string {
	prefix := ""
	for {
		i := slices.IndexFunc(wrapperPrefixes, func(w string) bool {
			for _, n := range names {
				if !strings.HasPrefix(n, prefix+w) {
					return false
				}
			}
			return true
		})
		if i < 0 {
			return prefix
		}
		prefix += wrapperPrefixes[i]
	}
}

// A sign is a name that only one scheme has.
var signs = []struct {
	scheme Scheme
	name   *regexp.Regexp
}{
	{SchemeHuggingFace, regexp.MustCompile(`^((resnet|bit)\.)?(embedder\.(embedder|convolution)|encoder\.stages\.\d+)\.`)},
	{SchemeCIFAR, regexp.MustCompile(`^linear\.(weight|bias)$|^layer\d+\.\d+\.shortcut\.[01]\.`)},
	{SchemeTimm, regexp.MustCompile(`^(conv1|maxpool)\.\d+\.|^layer\d+\.\d+\.(se|aa|attn|convs|bns|conv\d\.(conv|bn|fc|proj|paths|attn))\b|^layer\d+\.\d+\.downsample\.2\.|` +
		`^stem\.conv\d?\.weight$|^stages\.\d+\.blocks\.\d+\.(conv|norm)\d\.`)},
	{SchemeTorchvision, regexp.MustCompile(`^fc\.(weight|bias)$|^layer\d+\.\d+\.downsample\.[01]\.`)},
}

// common is a name that the schemes but Hugging Face's share.
var common = regexp.MustCompile(`^(conv1\.weight|bn1\.|layer\d+\.\d+\.(conv|bn)\d)`)

func detectScheme(names []string) (Scheme, error) {
	example := map[Scheme]string{} // the first name that speaks for a scheme
	hasCommon := ""
	for _, n := range names {
		for _, s := range signs {
			if _, ok := example[s.scheme]; !ok && s.name.MatchString(n) {
				example[s.scheme] = n
			}
		}
		if hasCommon == "" && common.MatchString(n) {
			hasCommon = n
		}
	}
	if _, ok := example[SchemeTimm]; ok {
		delete(example, SchemeTorchvision) // timm's names include torchvision's
	}
	if hasCommon != "" && example[SchemeHuggingFace] != "" {
		example[SchemeTorchvision] = hasCommon
	}
	// A file may mix fc.* with shortcut.*: that is still the CIFAR family, unless it has both spellings of one thing.
	if cifar := example[SchemeCIFAR]; cifar != "" && len(example) == 2 && example[SchemeTorchvision] != "" && !bothSpellings(names) {
		delete(example, SchemeTorchvision)
	}
	switch {
	case len(example) > 1:
		var found []string
		for s, n := range example {
			found = append(found, fmt.Sprintf("%s (%s)", s, quote(n)))
		}
		sort.Strings(found)
		return "", fmt.Errorf("translate tensor names: the names fit several schemes: %s", strings.Join(found, ", "))
	case len(example) == 1:
		for s := range example {
			return s, nil
		}
	case hasCommon != "":
		return SchemeTorchvision, nil // a trunk without classifier and projections
	}
	return "", fmt.Errorf("translate tensor names: want the names of a ResNet (torchvision, timm, Hugging Face, cifar), got %s", list(names, 5))
}

// bothSpellings reports whether there are linear.* and fc.*, or shortcut.* and downsample.*, at once.
func bothSpellings(names []string) bool {
	has := func(part string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return strings.Contains("."+n, part) })
	}
	return has(".linear.") && has(".fc.") || has(".shortcut.") && has(".downsample.")
}

// list names the first few, and says how many more there are.
func list(names []string, limit int) string {
	if len(names) == 0 {
		return "none"
	}
	var q []string
	for _, n := range names[:min(limit, len(names))] {
		q = append(q, quote(n))
	}
	s := strings.Join(q, ", ")
	if more := len(names) - limit; more > 0 {
		s += fmt.Sprintf(" and %d more", more)
	}
	return s
}

var (
	hfStem     = regexp.MustCompile(`^(?:resnet\.)?embedder\.embedder\.(convolution|normalization)\.(\w+)$`)
	hfLayer    = regexp.MustCompile(`^(?:resnet\.)?encoder\.stages\.(\d{1,4})\.layers\.(\d{1,6})\.layer\.(\d{1,4})\.(convolution|normalization)\.(\w+)$`)
	hfShortcut = regexp.MustCompile(`^(?:resnet\.)?encoder\.stages\.(\d{1,4})\.layers\.(\d{1,6})\.shortcut\.(convolution|normalization)\.(\w+)$`)
	hfHead     = regexp.MustCompile(`^classifier\.1\.(weight|bias)$`)

	bitStem  = regexp.MustCompile(`^(?:bit\.)?embedder\.convolution\.(\w+)$`)
	bitLayer = regexp.MustCompile(`^(?:bit\.)?encoder\.stages\.(\d{1,4})\.layers\.(\d{1,6}\.(?:(?:conv|norm)\d|downsample\.conv)\.\w+)$`)
	bitNorm  = regexp.MustCompile(`^(?:bit\.)?(norm\.\w+)$`)

	timmStem  = regexp.MustCompile(`^stem\.(conv|norm)([123]?)\.(\w+)$`)
	timmLayer = regexp.MustCompile(`^stages\.(\d{1,4})\.blocks\.(\d{1,6}\.(?:(?:conv|norm)\d|downsample\.conv)\.\w+)$`)
	timmHead  = regexp.MustCompile(`^head\.fc\.(weight|bias)$`)

	cifarHead     = regexp.MustCompile(`^linear\.(weight|bias)$`)
	cifarShortcut = regexp.MustCompile(`^(layer\d+\.\d+)\.shortcut\.([01]\.\w+)$`)
)

// translate returns the canonical name; ok is false when the scheme does not know the name or does not change it.
func translate(s Scheme, name string) (canonical string, ok bool) {
	switch s {
	case SchemeHuggingFace:
		return translateHuggingFace(name)
	case SchemeTimm:
		return translateTimm(name)
	case SchemeCIFAR:
		if m := cifarHead.FindStringSubmatch(name); m != nil {
			return "fc." + m[1], true
		}
		if m := cifarShortcut.FindStringSubmatch(name); m != nil {
			return m[1] + ".downsample." + m[2], true
		}
	}
	return "", false
}

// translateHuggingFace counts stages and layers from 1, as torchvision does, where transformers counts from 0.
func translateHuggingFace(name string) (canonical string, ok bool) {
	if m := hfStem.FindStringSubmatch(name); m != nil {
		return map[string]string{"convolution": "conv1.", "normalization": "bn1."}[m[1]] + m[2], true
	}
	if m := hfLayer.FindStringSubmatch(name); m != nil {
		kind := map[string]string{"convolution": "conv", "normalization": "bn"}[m[4]]
		return fmt.Sprintf("layer%s.%s.%s%s.%s", oneMore(m[1]), m[2], kind, oneMore(m[3]), m[5]), true
	}
	if m := hfShortcut.FindStringSubmatch(name); m != nil {
		i := map[string]string{"convolution": "0", "normalization": "1"}[m[3]]
		return fmt.Sprintf("layer%s.%s.downsample.%s.%s", oneMore(m[1]), m[2], i, m[4]), true
	}
	if m := hfHead.FindStringSubmatch(name); m != nil {
		return "fc." + m[1], true
	}
	return translateBit(name)
}

// translateBit is translateHuggingFace for networks with pre-activation.
func translateBit(name string) (canonical string, ok bool) {
	if m := bitStem.FindStringSubmatch(name); m != nil {
		return "conv1." + m[1], true
	}
	if m := bitLayer.FindStringSubmatch(name); m != nil {
		return "layer" + oneMore(m[1]) + "." + m[2], true
	}
	if m := bitNorm.FindStringSubmatch(name); m != nil {
		return m[1], true
	}
	return "", false
}

// translateTimm brings the names of networks with pre-activation to those of the others, which number the steps of deep stems.
func translateTimm(name string) (canonical string, ok bool) {
	if m := timmStem.FindStringSubmatch(name); m != nil {
		step := map[string]string{"conv": "conv1.", "conv1": "conv1.0.", "norm1": "conv1.1.", "conv2": "conv1.3.", "norm2": "conv1.4.", "conv3": "conv1.6."}[m[1]+m[2]]
		return step + m[3], step != ""
	}
	if m := timmLayer.FindStringSubmatch(name); m != nil {
		return "layer" + oneMore(m[1]) + "." + m[2], true
	}
	if m := timmHead.FindStringSubmatch(name); m != nil {
		return "fc." + m[1], true
	}
	return "", false
}

func oneMore(digits string) string {
	n, _ := strconv.Atoi(digits) // at most 4 digits
	return strconv.Itoa(n + 1)
}
