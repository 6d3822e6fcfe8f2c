// Package jpeg decodes JPEG files to the very bytes that libjpeg-turbo gives with its defaults, which are what Pillow, and so
// torchvision, reads: the "islow" integer inverse DCT, triangle-filter ("fancy") chroma upsampling, and 16-bit fixed-point colour
// conversion. The standard library's decoder is a good one, but it rounds its inverse DCT otherwise and repeats chroma samples
// instead of interpolating them, which moves pixels by up to dozens of levels at coloured edges.
//
// Supported: 8-bit baseline, extended sequential and progressive Huffman files; 1, 3 or 4 components; every sampling whose factors
// divide evenly; restart intervals; JFIF, Adobe RGB, YCbCr, CMYK and YCCK. Not supported, with an error that says so: 12-bit,
// lossless, hierarchical and arithmetic-coded files.
//
// Damaged files are errors here. libjpeg only warns about a bad Huffman code and fills the rest with gray. Three harmless slips that
// are common in the wild are taken as libjpeg takes them: stray bytes before a marker, bytes after the last scan, and a sequential
// file without its end-of-image marker.
//
// Known differences: libjpeg smooths blocks of a progressive file whose scans never deliver all bits of the low frequencies ("block
// smoothing"), where this package decodes just what is there; and coefficients far beyond what any 8-bit picture has, which only damaged
// or made-up files hold, overflow the 16-bit lanes of libjpeg-turbo's vector code, but not the 32-bit arithmetic here.
//
// Sources: ITU-T T.81 (1992) for the format; Loeffler, Ligtenberg and Moschytz, "Practical fast 1-D DCT algorithms with 11
// multiplications" (ICASSP 1989) for the transform; ITU-T T.871 (JFIF) for the colours; the Adobe APP14 segment as described in
// Adobe Technical Note 5116.
package jpeg
