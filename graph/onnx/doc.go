// Package onnx makes graphs of ONNX files, as PyTorch, timm, Keras, tf2onnx, MXNet and others export networks, and ONNX files of graphs.
//
// A file of this format holds a network along with its weights, so that nothing has to be found out from the names of
// tensors: whatever consists of the operations below runs, residual networks of any shape among them.
//
//	f, err := weights.Open("resnet50.onnx")   // maps the file; weights are read when they are wanted
//	n, err := onnx.New(f)                     // says what is in the way, if something is
//	g, err := n.Graph(8, 224, 224)            // a graph for 8 pictures of that size, its weights bound
//
// # What is read
//
// Operators of ONNX's own domain, of any version that has the meaning below:
//
//	Conv, MaxPool, AveragePool, GlobalAveragePool, ReduceMean over rows and columns   in two dimensions; Conv of a row, [N,C,L], too
//	BatchNormalization, Relu, Softmax, Add, Sum                                        (inference; two and more operands of one shape)
//	GroupNormalization, InstanceNormalization                                          of the channels of a picture, or of groups seen as channels
//	Gemm, MatMul                                                                       with a constant matrix, and a constant added to it
//	Add, Sub, Mul, Div of a picture and a constant                                     a number, or one for each channel, as a batch norm
//	Sigmoid, Expand and Mul                                                            as gates of channels, σ(s)·x with s [N,C,1,1]
//	Softmax, Mul and ReduceSum                                                         over branches [N,R,C,H,W], as split attention with scores [N,R,C,1,1]; or of each branch, and Add
//	Split, Concat, Slice                                                               of channels; Slice also every n-th row and column
//	Flatten, Reshape, Squeeze, Unsqueeze                                               of each picture, whose elements keep their order: see below
//	Pad                                                                                with zeros, which a convolution or pool behind it adds itself where it can, or mirrored
//	Identity, Dropout, Cast between floating-point types                               do nothing
//	Transpose                                                                          of pictures between [N,H,W,C] and [N,C,H,W], which does nothing; of a vector; of constants
//	Add, Sub, Mul, Div, Sqrt, ReduceMean, BatchNormalization of constants              which standardised weights are made of
//	Constant, ConstantOfShape, Shape, Gather, Concat, Unsqueeze, Cast, ...              arithmetic of shapes, which is done at import
//
// Between layers a picture may have any dimensions behind the batch: groups of channels as [N,G,L] before a norm, branches as
// [N,R,C,H,W], channels as a row [N,1,C] that a Conv goes along. Nothing moves for that, and no operation is added where the next
// layer reads the picture as it was. The dimensions of a vector of each picture can be transposed on the way to a Softmax.
//
// The batch size and the extent of the picture are those that [Network.Graph] is asked for, also where the file has fixed
// ones; a network that a fixed size is built into says so. Elements are float32; weights of float16, bfloat16 and float64
// are converted, and Casts between them are left out.
//
// # What is written
//
// [Export] writes any graph of float32 with standard operators of opset 13, so that other programs run it:
//
//	err := onnx.Export(file, g, onnx.ExportOptions{DynamicBatch: true})
//
// Names of inputs, outputs, nodes and parameters are those of the graph. A network comes back through [New] as it was, with an epsilon
// rounded to float32; an epilogue comes back as nodes of its own. These ops take more than the operator of their name:
//
//	Conv2D, Gate with an epilogue       Conv or Sigmoid and Mul, then Add and Relu
//	GroupNorm                           InstanceNormalization of the groups as channels between Reshapes, then Mul and Add
//	SplitAttention                      Softmax, Mul and ReduceSum over branches [N,R,C,H,W], which Reshapes make
//	ChannelSlice, Subsample             Slice
//	ChannelPad, SpatialPad              Pad
//	AvgPool that counts zeros and rounds up   AveragePool of a Pad, so that no runtime need know which zeros count
//
// The extent of pictures is that of the graph. Parameters are read when they are written, one at a time; where a model would exceed the
// 2 GiB of a protocol buffer, they go to a file of their own.
//
// # What it does not do
//
// Training, control flow, quantised operators, functions, and operators of other domains. The error names all of them
// at once.
package onnx
