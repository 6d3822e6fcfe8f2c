package weights

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// show prints a value as the generator of pickles.json does.
func show(v any) string {
	items := func(open string, v []any, end string) string {
		s := make([]string, len(v))
		for i, x := range v {
			s[i] = show(x)
		}
		return open + strings.Join(s, ", ") + end
	}
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		return map[bool]string{true: "True", false: "False"}[v]
	case int64:
		return fmt.Sprint(v)
	case float64:
		return fmt.Sprintf("f%.0f", v*4)
	case string:
		return `"` + v + `"`
	case *pyBytes:
		return string(v.b)
	case *pyList:
		return items("[", v.items, "]")
	case *pyTuple:
		return items("(", v.items, ")")
	case *pyDict:
		s := make([]string, len(v.entries))
		for i, e := range v.entries {
			s[i] = show(e.key) + ": " + show(e.value)
		}
		return "{" + strings.Join(s, ", ") + "}"
	case *pyOpaque:
		return "opaque " + v.class
	}
	return describe(v)
}

func TestPythonPickles(t *testing.T) {
	var cases []struct {
		Protocol int
		Pickle   string
		Value    string
	}
	readJSON(t, "pickles.json", &cases)
	if len(cases) != 6 {
		t.Fatalf("want 6 protocols, got %d", len(cases))
	}
	for _, c := range cases {
		data, err := hex.DecodeString(c.Pickle)
		if err != nil {
			t.Fatal(err)
		}
		got, n, err := newTorchPickle().run(append(data, "what follows"...), 0)
		if err != nil || n != len(data) {
			t.Errorf("protocol %d: read %d of %d bytes: %v", c.Protocol, n, len(data), err)
			continue
		}
		// Protocols 0 and 1 make an object by a call of copyreg, which we do not look into.
		value := c.Value
		if c.Protocol < 2 {
			value = strings.ReplaceAll(value, "argparse.Namespace", "copy_reg._reconstructor")
		}
		if show(got) != value {
			t.Errorf("protocol %d: got %s, want %s", c.Protocol, show(got), value)
		}
	}
}

func TestPickleOpcodes(t *testing.T) {
	for _, c := range []struct{ name, pickle, want string }{
		{"bools as text", "(I00\nI01\nt.", "(False, True)"},
		{"numbers as text", "(I-5\nL7L\nL8\nF0.5\nt.", "(-5, 7, 8, f2)"},
		{"LONG1 of no bytes", "\x8a\x00.", "0"},
		{"LONG1 negative", "\x8a\x01\xff.", "-1"},
		{"LONG1 of eight bytes", "\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x80.", "-9223372036854775808"},
		{"LONG4", "\x8b\x02\x00\x00\x00\xff\x00.", "255"},
		{"a number beyond 64 bits", "\x8a\x09\x01\x00\x00\x00\x00\x00\x00\x00\x01.", "an int"},
		{"Python 2 strings", "(S'a'\nS\"b\"\nT\x01\x00\x00\x00cU\x01dt.", `("a", "b", "c", "d")`},
		{"every length of text", "(X\x01\x00\x00\x00a\x8c\x01b\x8d\x01\x00\x00\x00\x00\x00\x00\x00ct.", `("a", "b", "c")`},
		{"every length of bytes", "(B\x01\x00\x00\x00aC\x01b\x8e\x01\x00\x00\x00\x00\x00\x00\x00c\x96\x01\x00\x00\x00\x00\x00\x00\x00dt.", "(a, b, c, d)"},
		{"LIST and DICT", "((K\x01l(K\x02K\x03dt.", "([1], {2: 3})"},
		{"APPEND and SETITEM", "(]K\x01a}K\x02K\x03st.", "([1], {2: 3})"},
		{"POP of a value, POP of a mark, POP_MARK", "K\x01K\x020(0(K\x031.", "1"},
		{"DUP", "]2K\x01a\x86.", "([1], [1])"},
		{"memo", "(]p7\n0g7\nq\x08r\x09\x00\x00\x00h\x08j\x09\x00\x00\x00t.", "([], [], [])"},
		{"MEMOIZE counts", "(]\x94}\x94h\x00h\x01t.", "([], {}, [], {})"},
		{"sets", "(\x8f(K\x01\x90(K\x01\x91t.", "(a set, a set)"},
		{"FRAME", "\x80\x04\x95\x02\x00\x00\x00\x00\x00\x00\x00K\x01.", "1"},
		{"OrderedDict of pairs", "ccollections\nOrderedDict\n(](K\x01K\x02](K\x03K\x04eee", ""},
		{"OrderedDict of lists of two", "ccollections\nOrderedDict\n](](K\x01K\x02ee\x85R.", "{1: 2}"},
		{"OrderedDict by OBJ, INST and NEWOBJ", "((ccollections\nOrderedDict\no(icollections\nOrderedDict\nccollections\nOrderedDict\n)\x81t.", "({}, {}, {})"},
		{"torch.Size", "ctorch\nSize\n(K\x01K\x02t\x85R.", "(1, 2)"},
		{"a module with its source", "(" + pyStr("module") + pyName("m", "Net") + pyStr("net.py") + pyStr("class Net") + "tQ.", `the name "m.Net"`},
		{"a storage of an unknown type", "(" + pyStr("storage") + pyName("torch", "WeirdStorage") + pyStr("0") + pyStr("cpu") + "K\x01tQ.", "opaque torch.WeirdStorage"},
		{"a tensor over it", pyTensorV2(pyStorageID("QInt8Storage", "0", 1), 0, pyInts(1), pyInts(1)) + ".", "opaque torch.QInt8Storage"},
		{"BUILD drops the state", "cm\nC\n)\x81}b.", "opaque m.C"},
		{"an opaque dict and list", "cm\nC\n)\x81(K\x01K\x02u(K\x01eK\x01a.", "opaque m.C"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, _, err := newTorchPickle().run([]byte(c.pickle), 0)
			if c.want == "" {
				if err == nil {
					t.Errorf("want an error, got %s", show(got))
				}
				return
			}
			if err != nil || show(got) != c.want {
				t.Errorf("got %s (%v), want %s", show(got), err, c.want)
			}
		})
	}
}

func TestRefusesBadPickles(t *testing.T) {
	big := func(code string, n int) string { return code + le(n, 1<<62) }
	for _, c := range []struct{ name, pickle, want string }{
		{"empty", "", "bytes 100..101: pickle: ends without the opcode STOP"},
		{"no STOP", "K\x01", "bytes 102..103: pickle: ends without the opcode STOP"},
		{"unknown opcode", "K\x01\xff", "bytes 102..103: pickle: unknown opcode 0xff"},
		{"protocol 6", "\x80\x06N.", "want protocol 0 to 5, got 6"},
		{"nothing on the stack", ".", "want one value when the pickle ends, got 0"},
		{"two values", "NN.", "want one value when the pickle ends, got 2"},
		{"open mark", "N(.", "got 1 and 1 marks"},
		{"no mark", "Nt.", "TUPLE: want a mark on the stack"},
		{"a value below the mark", "N(\x85.", "TUPLE1: want 1 values on the stack, got 0"},
		{"APPEND to nothing", "Na.", "APPEND: want a container below 1 items"},
		{"APPEND to a number", "K\x01Na.", "APPEND: want a list or set on the stack, got an int"},
		{"SETITEMS of an odd number", "}(Nu.", "SETITEMS: want keys and values, got 1 items"},
		{"SETITEM into a list", "]NNs.", "SETITEM: want a dict on the stack, got a list of 0"},
		{"DICT of an odd number", "(Nd.", "DICT: want keys and values, got 1 items"},
		{"memo without a value", "h\x05.", "BINGET: nothing stands in the memo at 5"},
		{"memo index beyond 32 bits", "Np4294967296\n.", "PUT: memo index 4294967296 is out of range"},
		{"GET beyond 32 bits", "Nq\x000g4294967296\n.", "GET: nothing stands in the memo at 4294967296"},
		{"memo index that is no number", "Npx\n.", `PUT: want a decimal number, got "x"`},
		{"store of nothing", "q\x00.", "BINPUT: want 1 values on the stack, got 0"},
		{"bad int", "Ix\n.", `INT: want a decimal number, got "x"`},
		{"bad long", "L-L\n.", "LONG: want a decimal number"},
		{"bad float", "Fx\n.", `FLOAT: want a number, got "x"`},
		{"unquoted string", "Sabc\n.", "STRING: want a quoted string"},
		{"half a quote", "S'\n.", "STRING: want a quoted string"},
		{"line without end", "I" + strings.Repeat("1", 1<<20), "INT: want a line of at most 4096 bytes"},
		{"REDUCE without a tuple", "cm\nf\nNR.", "REDUCE: want a tuple of arguments, got None"},
		{"BUILD on a number", "K\x01}b.", "BUILD: want an object on the stack, got an int"},
		{"STACK_GLOBAL of numbers", "K\x01K\x02\x93.", "STACK_GLOBAL: want two strings, got an int and an int"},
		{"OBJ of nothing", "(o.", "OBJ: want a class above the mark"},
		{"NEWOBJ_EX without arguments", "cm\nC\nNN\x92.", "NEWOBJ_EX: want a tuple and a dict, got None and None"},
		{"long name", "c" + strings.Repeat("a", 300) + "\nf\n.", "GLOBAL: want a name of at most 200 bytes, got 301"},
		{"OrderedDict of a number", "ccollections\nOrderedDict\nK\x01\x85R.", "OrderedDict: want at most one list of pairs"},
		{"OrderedDict of no pairs", "ccollections\nOrderedDict\n](K\x01e\x85R.", "OrderedDict: want pairs, got an int"},
		{"torch.Size of nothing", "ctorch\nSize\n)R.", "torch.Size: want one tuple"},
		{"parameter of a number", "ctorch._utils\n_rebuild_parameter\n(K\x01NNtR.", "rebuild parameter: want a tensor, got an int"},
		{"persistent id as text", "P0\n.", "opcode PERSID is not supported"},
		{"extension code", "\x82\x01.", "opcode EXT1 is not supported"},
		{"out-of-band buffer", "\x97.", "opcode NEXT_BUFFER is not supported"},
		{"FRAME beyond the end", "\x80\x04\x95" + le(8, 100) + "N.", "FRAME: want 100 bytes, the data ends after 2"},
		{"huge FRAME", "\x80\x04" + big("\x95", 8) + "N.", "FRAME: want 4611686018427387904 bytes"},
		{"FRAME with the sign bit", "\x80\x04\x95" + le(8, 1<<63) + "N.", "FRAME: want 9223372036854775808 bytes"},
		{"huge BINBYTES8", big("\x8e", 8), "bytes 100..109: pickle: BINBYTES8: want 4611686018427387904 bytes, the data ends after 0"},
		{"huge BINUNICODE8", big("\x8d", 8), "BINUNICODE8: want 4611686018427387904 bytes"},
		{"BINBYTES8 with the sign bit", "\x8e" + le(8, 1<<63) + "x", "BINBYTES8: want 9223372036854775808 bytes"},
		{"huge BINUNICODE", "X\xff\xff\xff\xff", "BINUNICODE: want 4294967295 bytes, the data ends after 0"},
		{"huge BINSTRING", "T\xff\xff\xff\xff", "BINSTRING: want 4294967295 bytes"},
		{"huge LONG4", "\x8b\xff\xff\xff\xff", "LONG4: want 4294967295 bytes"},
		{"cut-off float", "G\x00", "BINFLOAT: want 8 bytes, the data ends after 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := bounded(t, len(c.pickle), func() error {
				_, _, err := newTorchPickle().run([]byte(c.pickle), 100)
				return err
			})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

// Pickles that grow without limit in a naive machine: each must end quickly and in little memory.
func TestPickleBombs(t *testing.T) {
	laughs := "]"
	for i := range 100 { // lists of ten references to the list before
		laughs += fmt.Sprintf("q%c](%s", i, strings.Repeat(fmt.Sprintf("h%c", i), 10)) + "e"
	}
	pairs := "ccollections\nOrderedDict\nq\x00](" + strings.Repeat("](NNe", 2000) + "e\x85q\x01" + strings.Repeat("0h\x00h\x01R", 5000)
	names := pyStr(strings.Repeat("m", 1<<16)) + "q\x00" + strings.Repeat("h\x00h\x00\x93", 1000)
	for _, c := range []struct{ name, pickle, want string }{
		{"billion laughs", laughs, "want one value when the pickle ends, got 101"},
		{"a list that holds itself", "]q\x00h\x00a", "want a state dict, got a list of 1"},
		{"a dict that holds itself", "}q\x00" + pyStr("state_dict") + "h\x00s", "want a state dict, got a dict of 1 without tensors by name"},
		{"deep nesting", strings.Repeat("(", 300000) + strings.Repeat("t", 300000), "want a state dict, got a tuple of 1"},
		{"memo of one value again and again", "]" + strings.Repeat("q\x00", 300000), "want a state dict, got a list of 0"},
		{"many memo entries", "\x80\x04]" + strings.Repeat("\x94", 300000), "want a state dict, got a list of 0"},
		{"too many opcodes", strings.Repeat("N0", 1<<20) + "N", "want at most 1048576 opcodes"},
		{"one list copied again and again", pairs, "want at most 1048576 opcodes"},
		{"long names", names, "want a name of at most 200 bytes"},
		{"many lists", strings.Repeat("]", 1<<20), "want at most 1048576 opcodes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			data := legacyFile(c.pickle+".", nil)
			err := bounded(t, len(data), func() error { return readAll("bomb", data) })
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %s", err, c.want)
			}
		})
	}
}

// A dict that refers to another one a million times must be searched once.
func TestStateDictSearchIsLinear(t *testing.T) {
	inner := "}q\x01(" + strings.Repeat(pyStr("k")+"N", 50000) + "u0"
	outer := pickle(inner + "}(" + strings.Repeat("U\x01ah\x01", 200000) + "u")
	data := legacyFile(outer, nil)
	if err := bounded(t, len(data), func() error { return readAll("x", data) }); err == nil || !strings.Contains(err.Error(), "without tensors") {
		t.Errorf("got %v, want an error that there are no tensors", err)
	}
}

// Every way in which a pickle may ask for a call. The mark "executed" of each must never appear, and a state dict beside
// the call is read all the same.
func TestNothingIsExecuted(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "executed")
	command := pyStr("touch " + mark)
	builtin := pyName("builtins", "eval") + pyTup(pyStr("open('"+mark+"','w')")) + "R"
	for _, c := range []struct{ name, call, opaque string }{
		{"GLOBAL and REDUCE", pyName("os", "system") + pyTup(command) + "R", "os.system"},
		{"posix", pyName("posix", "system") + pyTup(command) + "R", "posix.system"},
		{"STACK_GLOBAL and REDUCE", pyStr("os") + pyStr("system") + "\x93" + pyTup(command) + "R", "os.system"},
		{"INST", "(" + command + "ios\nsystem\n", "os.system"},
		{"OBJ", "(" + pyName("os", "system") + command + "o", "os.system"},
		{"NEWOBJ", pyName("os", "system") + pyTup(command) + "\x81", "os.system"},
		{"NEWOBJ_EX", pyName("subprocess", "Popen") + pyTup(command) + pyMap(pyStr("shell"), "\x88") + "\x92", "subprocess.Popen"},
		{"BUILD", pyName("m", "C") + ")\x81" + pyMap(pyStr("__setstate__"), pyName("os", "system")) + "b" + command + "b", "os.system"},
		{"eval", builtin, "builtins.eval"},
		{"a function of a function", pyName("builtins", "getattr") + pyTup(pyName("os", "path"), pyStr("system")) + "R" + pyTup(command) + "R", "builtins.getattr"},
		{"through _rebuild_from_type_v2", pyName("torch._tensor", "_rebuild_from_type_v2") + pyTup(pyName("os", "system"), pyName("torch", "Tensor"), pyTup(command), "N") + "R", "os.system"},
		{"through a default factory", pyName("collections", "defaultdict") + pyTup(pyName("os", "system")) + "R", "os.system"},
		{"a storage class", pyTup(pyStr("storage"), pyName("os", "system"), pyStr("9"), command, "K\x01") + "Q", "os.system"},
		{"torch.load itself", pyName("torch", "load") + pyTup(pyStr("x")) + "R", "torch.load"},
	} {
		t.Run(c.name, func(t *testing.T) {
			data := legacyFile(pickle(pyMap(pyStr("state_dict"), pyPlain()[2:len(pyPlain())-1], pyStr("x"), c.call)), []string{"0"}, le(8, 3), threeFloats)
			f, err := OpenBytes("x", data)
			if err != nil {
				t.Fatal(err)
			}
			x, err := f.Tensor("w")
			if err != nil || !slices.Equal(x.Float32s(), []float32{1, 2, -3}) {
				t.Errorf("w: got %v (%v)", x, err)
			}
			if want := fmt.Sprintf("class or function %q", c.opaque); !slices.Contains(f.Uninterpreted(), want) {
				t.Errorf("uninterpreted: got %v, want %s", f.Uninterpreted(), want)
			}
			if _, err := os.Stat(mark); err == nil {
				t.Fatal("the call was executed")
			}
			// In place of a tensor, the object is an error and no more.
			data = legacyFile(pyPlain(pyStr("bad"), c.call), []string{"0"}, le(8, 3), threeFloats)
			if f, err = OpenBytes("x", data); err != nil {
				t.Fatal(err)
			}
			if _, err := f.Tensor("bad"); err == nil || !strings.Contains(err.Error(), `tensor "bad": want a tensor, got`) {
				t.Errorf("got %v, want an error that it is no tensor", err)
			}
		})
	}
}
