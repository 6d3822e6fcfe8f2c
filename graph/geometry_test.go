package graph_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/graph"
)

var typePattern = regexp.MustCompile(`[a-z0-9]+\[[0-9,]*\]`)

// applied turns "op(type, type) attrs : type" into the text of a graph whose only node is that op; the parser infers
// the type of the result and compares.
func applied(line string) string {
	closing := strings.IndexByte(line, ')')
	var inputs, refs []string
	for i, typ := range typePattern.FindAllString(line[:closing], -1) {
		inputs = append(inputs, fmt.Sprintf("input %%in%d : %s", i, typ))
		refs = append(refs, fmt.Sprintf("%%in%d", i))
	}
	op := line[:strings.IndexByte(line, '(')]
	return fmt.Sprintf("graph g\n%s\n%%node = %s(%s)%s\noutput %%node\n", strings.Join(inputs, "\n"), op, strings.Join(refs, ", "), line[closing+1:])
}

// TestShapesAreThoseOfPyTorch reads testdata/geometry.txt, made by tools/golden/resnet/geometry.py.
func TestShapesAreThoseOfPyTorch(t *testing.T) {
	data, err := os.ReadFile("testdata/geometry.txt")
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") {
			continue
		}
		op, wantError := strings.CutSuffix(line, " : error")
		_, err := graph.Parse(strings.NewReader(applied(op)))
		if (err != nil) != wantError {
			t.Errorf("%s: got error %v", line, err)
		}
		count[line[:strings.IndexByte(line, '(')]]++
		if wantError {
			count["error"]++
		}
	}
	for op, least := range map[string]int{"conv2d": 150, "max_pool": 100, "avg_pool": 100, "linear": 10, "subsample": 5, "channel_pad": 5,
		"global_avg_pool": 5, "flatten": 5, "softmax": 5, "gate": 5, "group_norm": 30, "split_attention": 15, "concat": 15, "channel_slice": 8, "spatial_pad": 30, "reshape": 15, "error": 70} {
		if count[op] < least {
			t.Errorf("got %d cases of %s, want at least %d", count[op], op, least)
		}
	}
}

// TestInferSaysWhatDoesNotFit has at least one case for every check.
func TestInferSaysWhatDoesNotFit(t *testing.T) {
	for _, c := range []struct{ op, want string }{
		// every op
		{"relu(int32[2,3])", `node "node" (relu): input 0: want a floating-point tensor, got int32[2,3]`},
		{"relu(float32[2], float32[2])", `node "node" (relu): inputs: want 1 (x), got 2`},
		{"add(float32[2])", `node "node" (add): inputs: want 2 (a, b), got 1`},
		{"add(float32[2], float16[2])", `node "node" (add): input 1: want float32 as input 0, got float16`},
		{"add(float32[2,3], float32[3,2])", `node "node" (add): input 1: want [2,3] as input 0, got [3,2]`},
		{"gate(float32[2,3,4,5])", `node "node" (gate): inputs: want 2 (x, s), got 1`},
		{"gate(float32[2,3,4,5], float32[2,3,1,2])", `node "node" (gate): input 1: want gates [2,3,1,1], got [2,3,1,2]`},
		{"gate(float32[2,3,4,5], float32[2,3,1,1], float32[2,3,4,1]) add=true", `node "node" (gate): input 2: want shortcut [2,3,4,5], got [2,3,4,1]`},
		{"gate(float32[2,3], float32[2,3,1,1])", `node "node" (gate): input 0: want 4 dimensions [N,C,H,W], got [2,3]`},
		{"softmax(float32[])", `node "node" (softmax): input 0: want a last dimension of at least 1, got []`},
		{"softmax(float32[3,0])", `node "node" (softmax): input 0: want a last dimension of at least 1, got [3,0]`},
		{"softmax(int8[3])", `node "node" (softmax): input 0: want a floating-point tensor, got int8[3]`},
		{"flatten(float32[])", `node "node" (flatten): input 0: want at least 1 dimension, got []`},
		{"flatten()", `node "node" (flatten): inputs: want 1 (x), got 0`},
		// convolution
		{"conv2d(float32[1,2,5,6])", `inputs: want 2 (x, w), got 1`},
		{"conv2d(float32[1,2,5,6], float32[4,2,3,2]) bias=true add=true", `inputs: want 4 (x, w, bias, shortcut), got 2`},
		{"conv2d(float32[2,5,6], float32[4,2,3,2])", `node "node" (conv2d): input 0: want 4 dimensions [N,C,H,W], got [2,5,6]`},
		{"conv2d(float32[1,2,5,6], float32[4,2,3])", `node "node" (conv2d): input 1: want 4 dimensions [N,C,H,W], got [4,2,3]`},
		{"conv2d(float32[1,2,0,6], float32[4,2,3,2])", `node "node" (conv2d): input 0: want at least 1 channel, row and column, got [1,2,0,6]`},
		{"conv2d(float32[1,2,5,6], float32[4,2,3,0])", `node "node" (conv2d): input 1: want at least 1 channel, row and column, got [4,2,3,0]`},
		{"conv2d(float32[1,2,5,6], float32[0,2,3,2])", `node "node" (conv2d): input 1: want at least 1 filter, got [0,2,3,2]`},
		{"conv2d(float32[1,2,5,6], float32[4,2,3,2]) stride=0,1", `node "node" (conv2d): stride: want two numbers in 1..16777216, got 0,1`},
		{"conv2d(float32[1,2,5,6], float32[4,2,3,2]) stride=1,16777217", `node "node" (conv2d): stride: want two numbers in 1..16777216, got 1,16777217`},
		{"conv2d(float32[1,2,5,6], float32[4,2,3,2]) dilation=1,-1", `node "node" (conv2d): dilation: want two numbers in 1..16777216, got 1,-1`},
		{"conv2d(float32[1,2,5,6], float32[4,2,3,2]) padding=0,0,-1,0", `node "node" (conv2d): padding: want four numbers in 0..16777216, got {0 0 -1 0}`},
		{"conv2d(float32[1,2,5,6], float32[4,2,3,2]) padding=0,16777217,0,0", `node "node" (conv2d): padding: want four numbers in 0..16777216, got {0 16777217 0 0}`},
		{"conv2d(float32[1,2,5,6], float32[4,2,3,2]) groups=0", `node "node" (conv2d): groups: want at least 1, got 0`},
		{"conv2d(float32[1,3,5,6], float32[4,2,3,2]) groups=2", `node "node" (conv2d): groups: want a divisor of C and K, got 2 with C=3, K=4`},
		{"conv2d(float32[1,4,5,6], float32[3,2,3,2]) groups=2", `node "node" (conv2d): groups: want a divisor of C and K, got 2 with C=4, K=3`},
		{"conv2d(float32[1,6,5,6], float32[4,2,3,2]) groups=2", `node "node" (conv2d): input 1: want 3 channels a filter (C=6 / groups=2), got [4,2,3,2]`},
		{"conv2d(float32[1,2,5,6], float32[4,2,3,2]) padding=0,0,1,0 dilation=3,1", `node "node" (conv2d): input 1: want a kernel that with dilation 3,1 fits the padded 6x6 input, got 3x2`},
		{"conv2d(float32[1,2,7,6], float32[4,2,3,4]) padding=0,1,0,2 dilation=1,3", `node "node" (conv2d): input 1: want a kernel that with dilation 1,3 fits the padded 7x9 input, got 3x4`},
		{"conv2d(float32[1,2,5,6], float32[4,2,3,2], float32[5]) bias=true", `node "node" (conv2d): input 2: want bias [4], got [5]`},
		{"conv2d(float32[1,2,5,6], float32[4,2,3,2], float32[1,4,5,3]) add=true", `node "node" (conv2d): input 2: want shortcut [1,4,3,5], got [1,4,5,3]`},
		{"conv2d(float32[1,2,5,6], float32[4,2,3,2], float32[4], float32[1,4,3,6]) bias=true add=true", `node "node" (conv2d): input 3: want shortcut [1,4,3,5], got [1,4,3,6]`},
		// linear and batch norm
		{"linear(float32[2,3], float32[4,3]) bias=true", `inputs: want 3 (x, w, bias), got 2`},
		{"linear(float32[2,3,1], float32[4,3])", `node "node" (linear): input 0: want [N,C] with C at least 1, got [2,3,1]`},
		{"linear(float32[2,0], float32[4,0])", `node "node" (linear): input 0: want [N,C] with C at least 1, got [2,0]`},
		{"linear(float32[2,3], float32[3,4])", `node "node" (linear): input 1: want [K,3] with K at least 1, got [3,4]`},
		{"linear(float32[2,3], float32[0,3])", `node "node" (linear): input 1: want [K,3] with K at least 1, got [0,3]`},
		{"linear(float32[2,3], float32[4,3], float32[3]) bias=true", `node "node" (linear): input 2: want bias [4], got [3]`},
		{"batch_norm(float32[2,3]) epsilon=1", `inputs: want 5 (x, weight, bias, mean, variance), got 1`},
		{"batch_norm(float32[2,3], float32[3], float32[3], float32[3], float32[3]) epsilon=1", `input 0: want 4 dimensions [N,C,H,W], got [2,3]`},
		{"batch_norm(float32[2,3,4,5], float32[3], float32[3], float32[3], float32[3])", `node "node" (batch_norm): epsilon: want a finite number above 0, got 0`},
		{"batch_norm(float32[2,3,4,5], float32[3], float32[3], float32[3], float32[3]) epsilon=NaN", `epsilon: want a finite number above 0, got NaN`},
		{"batch_norm(float32[2,3,4,5], float32[3], float32[3], float32[3], float32[3]) epsilon=+Inf", `epsilon: want a finite number above 0, got +Inf`},
		{"batch_norm(float32[2,3,4,5], float32[4], float32[3], float32[3], float32[3]) epsilon=1", `input 1: want weight [3], got [4]`},
		{"batch_norm(float32[2,3,4,5], float32[3], float32[4], float32[3], float32[3]) epsilon=1", `input 2: want bias [3], got [4]`},
		{"batch_norm(float32[2,3,4,5], float32[3], float32[3], float32[], float32[3]) epsilon=1", `input 3: want mean [3], got []`},
		{"batch_norm(float32[2,3,4,5], float32[3], float32[3], float32[3], float32[3,1]) epsilon=1", `input 4: want variance [3], got [3,1]`},
		// pools
		{"max_pool(float32[2,3,4]) kernel=1,1", `node "node" (max_pool): input 0: want 4 dimensions [N,C,H,W], got [2,3,4]`},
		{"max_pool(float32[2,3,4,5])", `node "node" (max_pool): kernel: want two numbers in 1..16777216, got 0,0`},
		{"avg_pool(float32[2,3,4,5]) kernel=2,3 stride=1,0", `node "node" (avg_pool): stride: want two numbers in 1..16777216, got 1,0`},
		{"avg_pool(float32[2,3,4,5]) kernel=2,3 padding=-1,0,0,0", `node "node" (avg_pool): padding: want four numbers in 0..16777216, got {-1 0 0 0}`},
		{"max_pool(float32[2,3,4,5]) kernel=2,3 padding=2,0,0,0", `node "node" (max_pool): padding: want less than the kernel 2x3 on each side, got {2 0 0 0}`},
		{"max_pool(float32[2,3,4,5]) kernel=2,3 padding=0,0,2,0", `padding: want less than the kernel 2x3 on each side, got {0 0 2 0}`},
		{"max_pool(float32[2,3,4,5]) kernel=3,2 padding=0,2,0,0", `padding: want less than the kernel 3x2 on each side, got {0 2 0 0}`},
		{"max_pool(float32[2,3,4,5]) kernel=3,2 padding=0,0,0,2", `padding: want less than the kernel 3x2 on each side, got {0 0 0 2}`},
		{"max_pool(float32[2,3,4,5]) kernel=6,2 padding=1,0,0,0", `node "node" (max_pool): kernel: want at most the padded input 5x5, got 6x2`},
		{"avg_pool(float32[2,3,4,5]) kernel=2,7 padding=0,1,0,0 ceil_mode=true", `node "node" (avg_pool): kernel: want at most the padded input 4x6, got 2x7`},
		{"global_avg_pool(float32[2,3])", `node "node" (global_avg_pool): input 0: want 4 dimensions [N,C,H,W], got [2,3]`},
		{"global_avg_pool(int8[1,2,3,4])", `input 0: want a floating-point tensor, got int8[1,2,3,4]`},
		// layout
		{"channel_pad(float32[2,3]) before=1", `node "node" (channel_pad): input 0: want 4 dimensions [N,C,H,W], got [2,3]`},
		{"channel_pad(float32[2,3,4,5]) before=-1", `node "node" (channel_pad): before: want a number in 0..16777216, got -1`},
		{"channel_pad(float32[2,3,4,5]) after=16777217", `node "node" (channel_pad): after: want a number in 0..16777216, got 16777217`},
		{"channel_pad(int32[2,3,4,5])", `input 0: want a floating-point tensor, got int32[2,3,4,5]`},
		{"subsample(float32[3,4,5])", `node "node" (subsample): input 0: want 4 dimensions [N,C,H,W], got [3,4,5]`},
		{"subsample(float32[2,3,4,5]) stride=2,0", `node "node" (subsample): stride: want two numbers in 1..16777216, got 2,0`},
		{"subsample(float32[2,3,4,5], float32[2])", `node "node" (subsample): inputs: want 1 (x), got 2`},
		// group norm and split attention
		{"group_norm(float32[2,6,4,5], float32[6]) groups=2 epsilon=1", `node "node" (group_norm): inputs: want 3 (x, weight, bias), got 2`},
		{"group_norm(float32[2,6], float32[6], float32[6]) groups=2 epsilon=1", `node "node" (group_norm): input 0: want 4 dimensions [N,C,H,W], got [2,6]`},
		{"group_norm(float32[2,6,4,5], float32[6], float32[6]) groups=4 epsilon=1", `node "node" (group_norm): groups: want a divisor of C, got 4 with C=6`},
		{"group_norm(float32[2,6,4,5], float32[6], float32[6]) groups=12 epsilon=1", `groups: want a divisor of C, got 12 with C=6`},
		{"group_norm(float32[2,6,4,5], float32[6], float32[6]) groups=0 epsilon=1", `groups: want a divisor of C, got 0 with C=6`},
		{"group_norm(float32[2,6,4,5], float32[6], float32[6]) groups=-2 epsilon=1", `groups: want a divisor of C, got -2 with C=6`},
		{"group_norm(float32[2,6,4,5], float32[6], float32[6]) groups=2 epsilon=0", `node "node" (group_norm): epsilon: want a finite number above 0, got 0`},
		{"group_norm(float32[2,6,4,5], float32[6], float32[6]) groups=2 epsilon=NaN", `epsilon: want a finite number above 0, got NaN`},
		{"group_norm(float32[2,6,4,5], float32[6], float32[6]) groups=2 epsilon=+Inf", `epsilon: want a finite number above 0, got +Inf`},
		{"group_norm(float32[2,6,4,5], float32[2], float32[6]) groups=2 epsilon=1", `node "node" (group_norm): input 1: want weight [6], got [2]`},
		{"group_norm(float32[2,6,4,5], float32[6], float32[6,1]) groups=2 epsilon=1", `node "node" (group_norm): input 2: want bias [6], got [6,1]`},
		{"split_attention(float32[2,12,4,5]) radix=3 groups=2", `node "node" (split_attention): inputs: want 2 (x, s), got 1`},
		{"split_attention(float32[2,12,4,5], float32[2,12,1,1]) radix=3 groups=2 add=true", `node "node" (split_attention): inputs: want 3 (x, s, shortcut), got 2`},
		{"split_attention(float32[2,12], float32[2,12,1,1]) radix=3 groups=2", `node "node" (split_attention): input 0: want 4 dimensions [N,C,H,W], got [2,12]`},
		{"split_attention(float32[2,12,4,5], float32[2,12,1,1]) radix=5 groups=2", `node "node" (split_attention): radix: want a divisor of the channels of x, got 5 with 12 channels`},
		{"split_attention(float32[2,12,4,5], float32[2,12,1,1]) radix=0 groups=2", `radix: want a divisor of the channels of x, got 0 with 12 channels`},
		{"split_attention(float32[2,12,4,5], float32[2,12,1,1]) radix=3 groups=3", `node "node" (split_attention): groups: want a divisor of C, got 3 with C=4`},
		{"split_attention(float32[2,12,4,5], float32[2,12,1,1]) radix=3 groups=0", `groups: want a divisor of C, got 0 with C=4`},
		{"split_attention(float32[2,12,4,5], float32[2,4,1,1]) radix=3 groups=2", `node "node" (split_attention): input 1: want scores [2,12,1,1], got [2,4,1,1]`},
		{"split_attention(float32[2,12,4,5], float32[2,12,1,1], float32[2,12,4,5]) radix=3 groups=2 add=true", `node "node" (split_attention): input 2: want shortcut [2,4,4,5], got [2,12,4,5]`},
		// what moves data
		{"reshape(float32[2,6,4,5], float32[2]) to=3,8,5", `node "node" (reshape): inputs: want 1 (x), got 2`},
		{"reshape(float32[]) to=1,1,1", `node "node" (reshape): input 0: want at least 1 dimension, got []`},
		{"reshape(float32[2,6,4,5]) to=3,8,4", `node "node" (reshape): to: want three numbers in 1..16777216 whose product is 120, the elements of a picture of input 0, got 3,8,4`},
		{"reshape(float32[2,6,4,5]) to=-3,-8,5", `whose product is 120, the elements of a picture of input 0, got -3,-8,5`},
		{"reshape(float32[2,6,4,0]) to=3,0,5", `whose product is 0, the elements of a picture of input 0, got 3,0,5`},
		{"reshape(float32[1,16777216,2]) to=33554432,1,1", `three numbers in 1..16777216 whose product is 33554432, the elements of a picture of input 0, got 33554432,1,1`},
		{"reshape(int8[2,6]) to=1,2,3", `input 0: want a floating-point tensor, got int8[2,6]`},
		{"concat()", `node "node" (concat): inputs: want at least 1 (pictures), got 0`},
		{"concat(float32[2,6,4,5], float16[2,6,4,5])", `node "node" (concat): input 1: want float32 as input 0, got float16`},
		{"concat(float32[2,6,4])", `node "node" (concat): input 0: want 4 dimensions [N,C,H,W], got [2,6,4]`},
		{"concat(float32[2,6,4,5], float32[2,0,4,5])", `node "node" (concat): input 1: want at least 1 channel, row and column, got [2,0,4,5]`},
		{"concat(float32[2,6,4,5], float32[2,3,4,5], float32[1,6,4,5])", `node "node" (concat): input 2: want [2,6,4,5], as input 0 but for its channels, got [1,6,4,5]`},
		{"concat(float32[2,6,4,5], float32[2,6,5,5])", `node "node" (concat): input 1: want [2,6,4,5], as input 0 but for its channels, got [2,6,5,5]`},
		{"concat(float32[2,6,4,5], float32[2,7,4,4])", `node "node" (concat): input 1: want [2,7,4,5], as input 0 but for its channels, got [2,7,4,4]`},
		{"concat(float32[0,576460752303423487,1,1], float32[0,1,1,1])", `node "node" (concat): inputs: want at most 576460752303423487 channels together, got more`},
		{"channel_slice(float32[6,4,5]) begin=1 end=2", `node "node" (channel_slice): input 0: want 4 dimensions [N,C,H,W], got [6,4,5]`},
		{"channel_slice(float32[2,6,4,5], float32[2]) begin=1 end=2", `node "node" (channel_slice): inputs: want 1 (x), got 2`},
		{"channel_slice(float32[2,6,4,5]) begin=-1 end=2", `node "node" (channel_slice): begin: want a number in 0..5, got -1`},
		{"channel_slice(float32[2,6,4,5]) begin=6 end=7", `node "node" (channel_slice): begin: want a number in 0..5, got 6`},
		{"channel_slice(float32[2,6,4,5]) begin=3 end=3", `node "node" (channel_slice): end: want a number in 4..6, got 3`},
		{"channel_slice(float32[2,6,4,5]) begin=3 end=7", `node "node" (channel_slice): end: want a number in 4..6, got 7`},
		{"spatial_pad(float32[6,4,5]) padding=1,1,1,1", `node "node" (spatial_pad): input 0: want 4 dimensions [N,C,H,W], got [6,4,5]`},
		{"spatial_pad(float32[2,6,4,5], float32[2]) padding=1,1,1,1", `node "node" (spatial_pad): inputs: want 1 (x), got 2`},
		{"spatial_pad(float32[2,6,4,5]) padding=1,-1,1,1", `node "node" (spatial_pad): padding: want four numbers in 0..16777216, got {1 -1 1 1}`},
		{"spatial_pad(float32[2,6,4,5]) padding=0,0,0,16777217", `node "node" (spatial_pad): padding: want four numbers in 0..16777216, got {0 0 0 16777217}`},
		{"spatial_pad(float32[2,6,4,5]) padding=4,0,0,0 reflect=true", `node "node" (spatial_pad): padding: want less than the picture 4x5 on each side to reflect it, got {4 0 0 0}`},
		{"spatial_pad(float32[2,6,4,5]) padding=0,5,0,0 reflect=true", `less than the picture 4x5 on each side to reflect it, got {0 5 0 0}`},
		{"spatial_pad(float32[2,6,4,5]) padding=0,0,4,0 reflect=true", `less than the picture 4x5 on each side to reflect it, got {0 0 4 0}`},
		{"spatial_pad(float32[2,6,4,5]) padding=0,0,0,5 reflect=true", `less than the picture 4x5 on each side to reflect it, got {0 0 0 5}`},
		// results that are too large
		{"concat(float32[1,1,1073741824,268435456], float32[1,1,1073741824,268435456], float32[1,1,1073741824,268435456])", `node "node" (concat): result: want at most`},
		{"spatial_pad(float32[1,1073741824,1,1]) padding=16777216,0,0,16777216", `node "node" (spatial_pad): result: want at most`},
		{"conv2d(float32[1,1,1073741824,268435456], float32[1048576,1,1,1])", `node "node" (conv2d): result: want at most 576460752303423487 elements, got [1 1048576 1073741824 268435456]`},
		{"conv2d(float32[1,1,16777216,2], float32[1,1,1099511627777,1]) dilation=16777216,1", `node "node" (conv2d): input 1: want a kernel that with dilation 16777216,1 fits`},
		{"linear(float32[1073741824,1], float32[1073741824,1])", `node "node" (linear): result: want at most 576460752303423487 elements, got [1073741824 1073741824]`},
		{"channel_pad(float32[1,1,1073741824,268435456]) after=16777216", `node "node" (channel_pad): result: want at most`},
		{"max_pool(float32[268435456,268435456,1,1]) kernel=16777216,1 padding=16777215,0,16777215,0", `node "node" (max_pool): result: want at most`},
	} {
		_, err := graph.Parse(strings.NewReader(applied(c.op)))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s:\ngot  %v\nwant %s", c.op, err, c.want)
		}
	}
}

type embedded struct{ graph.ReLU }

func TestInferRefusesWhatIsNoOp(t *testing.T) {
	x := graph.F32(2, 3)
	for _, c := range []struct {
		op   graph.Op
		want string
	}{
		{nil, "op: want an op of package graph by value, got <nil>"},
		{&graph.ReLU{}, "op: want an op of package graph by value, got *graph.ReLU"},
		{(*graph.ReLU)(nil), "op: want an op of package graph by value, got *graph.ReLU"},
		{embedded{}, "op: want an op of package graph by value, got graph_test.embedded"},
		{graph.Conv2D{Stride: [2]int{1, 1}, Dilation: [2]int{1, 1}, Groups: 1, Act: 7}, "conv2d: act: want none or relu, got activation(7)"},
		{graph.GroupNorm{Groups: 1, Epsilon: 1, Act: 7}, "group_norm: act: want none or relu, got activation(7)"},
		{graph.SplitAttention{Radix: 1, Groups: 1, Act: 7}, "split_attention: act: want none or relu, got activation(7)"},
	} {
		in, one := []graph.TensorType{x}, graph.F32(1, 1, 1, 1)
		switch c.op.(type) {
		case graph.Conv2D, graph.SplitAttention:
			in = []graph.TensorType{one, one}
		case graph.GroupNorm:
			in = []graph.TensorType{one, graph.F32(1), graph.F32(1)}
		}
		if _, err := graph.Infer(c.op, in...); err == nil || err.Error() != c.want {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
	if _, err := graph.Infer(graph.ReLU{}, graph.TensorType{}); err == nil || err.Error() != "relu: input 0: want a valid element type, got invalid[]" {
		t.Errorf("got %v", err)
	}
}
