package shaders

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Opcodes, decorations and execution modes of the SPIR-V specification that say what a module declares.
const (
	opExecutionMode   = 16
	opExecutionModeID = 331
	opTypeInt         = 21
	opTypeFloat       = 22
	opTypeSampled     = 27
	opTypeArray       = 28
	opTypeStruct      = 30
	opTypePointer     = 32
	opConstant        = 43
	opSpecTrue        = 48
	opSpecFalse       = 49
	opSpecConst       = 50
	opVariable        = 59
	opDecorate        = 71
	opMemberDecorate  = 72
	modeLocalSize     = 17
	decoSpecID        = 1
	decoBinding       = 33
	decoOffset        = 35
	decoBuiltIn       = 11
	classWorkgroup    = 4
	classPushConstant = 9
	builtInWGSize     = 25
)

// module is what a SPIR-V module says of itself.
type module struct {
	localSize [3]uint32
	bySpec    bool // the local size is a specialization constant
	bindings  []int
	specIDs   []int
	pushBytes int
	shared    int
	sampled   bool // it has a type of images with their sampler
}

func reflect(t *testing.T, words []uint32) module {
	t.Helper()
	if len(words) < 5 || words[0] != 0x07230203 {
		t.Fatal("not SPIR-V")
	}
	var m module
	size := map[uint32]int{}         // bytes of a type
	constant := map[uint32]uint32{}  // value of a 32-bit constant
	pointee := map[uint32]uint32{}   // of a pointer type
	members := map[uint32][]uint32{} // types of a struct's members
	last := map[uint32]int{}         // offset of a struct's last member
	for at := 5; at < len(words); {
		n, op := int(words[at]>>16), words[at]&0xffff
		if n == 0 || at+n > len(words) {
			t.Fatalf("broken instruction at word %d", at)
		}
		w := words[at : at+n]
		at += n
		switch op {
		case opExecutionMode:
			if w[2] == modeLocalSize {
				copy(m.localSize[:], w[3:6])
			}
		case opTypeInt, opTypeFloat:
			size[w[1]] = int(w[2]) / 8
		case opTypeSampled:
			m.sampled = true
		case opTypeArray:
			size[w[1]] = size[w[2]] * int(constant[w[3]])
		case 23: // OpTypeVector
			size[w[1]] = size[w[2]] * int(w[3])
		case opTypeStruct:
			members[w[1]] = slices.Clone(w[2:])
		case opTypePointer:
			pointee[w[1]] = w[3]
		case opConstant:
			constant[w[2]] = w[3]
		case opMemberDecorate:
			if w[3] == decoOffset {
				last[w[1]] = max(last[w[1]], int(w[4]))
			}
		case opDecorate:
			switch {
			case w[2] == decoBinding:
				m.bindings = append(m.bindings, int(w[3]))
			case w[2] == decoSpecID:
				m.specIDs = append(m.specIDs, int(w[3]))
			case w[2] == decoBuiltIn && w[3] == builtInWGSize:
				m.bySpec = true
			}
		case opVariable:
			typ := pointee[w[1]]
			switch w[3] {
			case classPushConstant:
				m.pushBytes = last[typ] + size[members[typ][len(members[typ])-1]]
			case classWorkgroup:
				m.shared += size[typ]
			}
		}
	}
	slices.Sort(m.bindings)
	slices.Sort(m.specIDs)
	return m
}

// TestManifestSaysWhatTheModulesDeclare holds every row of the manifest against its SPIR-V.
func TestManifestSaysWhatTheModulesDeclare(t *testing.T) {
	for i := range Manifest {
		v := &Manifest[i]
		t.Run(v.Name, func(t *testing.T) {
			m := reflect(t, v.SPIRV())
			large := v.StepChannels > 0 // kernels for large devices, which have alternatives that every device can run
			for b := range v.Bindings {
				if b >= len(m.bindings) || m.bindings[b] != b {
					t.Errorf("bindings: got %v, want 0 to %d", m.bindings, v.Bindings-1)
					break
				}
			}
			if len(m.bindings) != v.Bindings {
				t.Errorf("bindings: got %v, want %d", m.bindings, v.Bindings)
			}
			if v.Bindings > 4 {
				t.Errorf("bindings: got %d, want at most 4, the least maxPerStageDescriptorStorageBuffers", v.Bindings)
			}
			if m.sampled {
				t.Error("a texel buffer with a sampler, which SPIR-V 1.6 forbids and Mesa 25 warns of: want textureBuffer, got samplerBuffer")
			}
			if m.pushBytes != v.PushBytes || v.PushBytes > 128 {
				t.Errorf("push constants: the module has %d bytes, the manifest %d", m.pushBytes, v.PushBytes)
			}
			if m.shared != v.SharedBytes || v.SharedBytes > 16384 && !large {
				t.Errorf("shared memory: the module has %d bytes, the manifest %d", m.shared, v.SharedBytes)
			}
			var want []int
			for id, name := range v.Spec {
				if name != "" {
					want = append(want, id)
				}
			}
			if !slices.Equal(m.specIDs, want) {
				t.Errorf("specialization constants: the module has %v, the manifest %v", m.specIDs, want)
			}
			if bySpec := v.LocalSize == 0; bySpec != slices.Contains(m.specIDs, 0) {
				t.Errorf("local size: by constant 0 %v, manifest %d", slices.Contains(m.specIDs, 0), v.LocalSize)
			}
			if v.LocalSize > 0 && m.localSize != [3]uint32{uint32(v.LocalSize), 1, 1} {
				t.Errorf("local size: got %v, want %d", m.localSize, v.LocalSize)
			}
			if v.LocalSize > 128 && !large {
				t.Errorf("local size: got %d, want at most 128, the least maxComputeWorkGroupInvocations", v.LocalSize)
			}
		})
	}
}

func TestEverySourceIsUsedAndEveryNameIsOwn(t *testing.T) {
	used, names := map[string]bool{}, map[string]bool{}
	for _, v := range Manifest {
		if names[v.Name] {
			t.Errorf("variant %s stands twice in the manifest", v.Name)
		}
		names[v.Name], used[v.Source] = true, true
		if Lookup(v.Name) == nil {
			t.Errorf("variant %s is not found by its name", v.Name)
		}
	}
	if Lookup("nonsense") != nil {
		t.Error("an unknown name was found")
	}
	files, err := os.ReadDir("glsl")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if filepath.Ext(f.Name()) == ".comp" && !used[f.Name()] {
			t.Errorf("glsl/%s is of no variant", f.Name())
		}
		src, err := os.ReadFile(filepath.Join("glsl", f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(src), "// ") {
			t.Errorf("glsl/%s has no head comment", f.Name())
		}
	}
}
