package edgesqueeze.sample

import java.nio.ByteBuffer
import java.nio.ByteOrder

/**
 * What a file's input expects, as manifest.json of the bundle says. [mean] and [std] are of pixels from 0 to 1,
 * one for each channel; [scale] and [zeroPoint] are those of an int8 grid. Where [takesPixels], the file
 * normalizes inside.
 */
class InputSpec(
    val channels: Int,
    val height: Int,
    val width: Int,
    val mean: FloatArray,
    val std: FloatArray,
    val dtype: String,
    val scale: Float,
    val zeroPoint: Int,
    val takesPixels: Boolean
)

/** How the integers of an output become numbers; of a float output nothing has to be done. */
class OutputSpec(val size: Int, val dtype: String, val scale: Float, val zeroPoint: Int) {
    val bytes: Int get() = if (dtype == "float32") 4 * size else size
}

/**
 * The input of a file for an image: [1, height, width, channels], one value after the other.
 *
 * [pixels] are ARGB, row by row, of an image of the input's width and height. The arithmetic is that of the
 * bundle's images.py and edge.py: float32, ties to even, so that the same pixels give the same bytes.
 */
fun inputOf(pixels: IntArray, spec: InputSpec): ByteBuffer {
    require(pixels.size == spec.width * spec.height) { "${pixels.size} pixels are not ${spec.width} × ${spec.height}" }
    val size = if (spec.dtype == "float32") 4 else 1
    val buffer = ByteBuffer.allocateDirect(pixels.size * spec.channels * size).order(ByteOrder.nativeOrder())
    for (pixel in pixels) {
        for (channel in 0 until spec.channels) {
            put(buffer, levelOf(pixel, channel, spec.channels), channel, spec)
        }
    }
    buffer.rewind()
    return buffer
}

private fun put(buffer: ByteBuffer, level: Int, channel: Int, spec: InputSpec) {
    if (spec.takesPixels) {
        buffer.put(level.toByte())
        return
    }
    val x = (level.toFloat() / 255f - spec.mean[channel]) / spec.std[channel]
    if (spec.dtype == "float32") {
        buffer.putFloat(x)
        return
    }
    val lowest = if (spec.dtype == "int8") -128 else 0
    val q = Math.rint((x / spec.scale).toDouble()) + spec.zeroPoint
    buffer.put(q.coerceIn(lowest.toDouble(), lowest + 255.0).toInt().toByte())
}

/** A channel of a pixel, 0 to 255: red, green, blue; of one channel the brightness (ITU-R 601-2, as Pillow's L). */
private fun levelOf(pixel: Int, channel: Int, channels: Int): Int {
    val red = pixel shr 16 and 255
    val green = pixel shr 8 and 255
    val blue = pixel and 255
    if (channels == 1) return (19595 * red + 38470 * green + 7471 * blue + 32768) shr 16
    return when (channel) {
        0 -> red
        1 -> green
        else -> blue
    }
}

/** The numbers of an output. */
fun numbersOf(output: ByteBuffer, spec: OutputSpec): FloatArray {
    output.rewind()
    if (spec.dtype == "float32") {
        val floats = output.order(ByteOrder.nativeOrder()).asFloatBuffer()
        return FloatArray(spec.size) { floats.get(it) }
    }
    return FloatArray(spec.size) {
        val byte = output.get(it).toInt()
        val q = if (spec.dtype == "int8") byte else byte and 255
        (q - spec.zeroPoint) * spec.scale
    }
}
