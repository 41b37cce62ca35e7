package edgesqueeze.sample

import android.content.res.AssetManager
import java.io.FileInputStream
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.nio.channels.FileChannel
import java.security.MessageDigest
import org.json.JSONArray
import org.json.JSONObject
import org.tensorflow.lite.Interpreter

/** What a classifier said of an image: the best classes with their scores, and the milliseconds it took. */
class Answer(val best: List<Pair<String, Float>>, val milliseconds: Double)

/**
 * The first TFLite classifier of a bundle among the app's assets: manifest.json and the files it names, as
 * `edgesqueeze deploy RUN --target android` writes them. Nothing is used before its SHA-256 has been compared.
 */
class DeviceModel(assets: AssetManager, threads: Int) : AutoCloseable {
    private val manifest = JSONObject(assets.open("manifest.json").use { String(it.readBytes(), Charsets.UTF_8) })
    private val facts = tfliteOf(manifest)
    val file: String = facts.getString("file")
    val labels: List<String> = stringsOf(manifest.getJSONArray("labels"))
    val input: InputSpec = inputSpecOf(manifest, facts)
    private val output = outputSpecOf(facts)
    private val interpreter: Interpreter

    init {
        require(manifest.getString("task") == "classification") { "this sample shows what classifiers say" }
        val content = mapped(assets, file)
        val expected = manifest.getJSONObject("files").getJSONObject(file).getString("sha256")
        check(sha256(content) == expected) { "$file is not the file that was bundled" }
        interpreter = Interpreter(content, Interpreter.Options().setNumThreads(threads))
    }

    /** Classify pixels of the input's size, [runs] times behind one that is not counted; the median is kept. */
    fun classify(pixels: IntArray, runs: Int): Answer {
        val x = inputOf(pixels, input)
        val y = ByteBuffer.allocateDirect(output.bytes).order(ByteOrder.nativeOrder())
        interpreter.run(x, y)
        val times = DoubleArray(runs) {
            x.rewind()
            y.rewind()
            val start = System.nanoTime()
            interpreter.run(x, y)
            (System.nanoTime() - start) / 1e6
        }
        times.sort()
        val scores = numbersOf(y, output)
        val best = scores.indices.sortedByDescending { scores[it] }.take(5)
        return Answer(best.map { Pair(labels.getOrElse(it) { _ -> "$it" }, scores[it]) }, times[runs / 2])
    }

    override fun close() = interpreter.close()
}

private fun tfliteOf(manifest: JSONObject): JSONObject {
    val models = manifest.getJSONArray("models")
    for (i in 0 until models.length()) {
        val model = models.getJSONObject(i)
        if (model.getString("runtime") == "litert") return model
    }
    throw IllegalArgumentException("the bundle has no .tflite file; deploy one with --file model_int8.tflite")
}

private fun inputSpecOf(manifest: JSONObject, facts: JSONObject): InputSpec {
    val whole = manifest.getJSONObject("input")
    val shape = whole.getJSONArray("shape")
    val own = facts.getJSONObject("input")
    require(!whole.isNull("mean")) { "how pixels become inputs is not known of this network" }
    return InputSpec(
        channels = shape.getInt(0),
        height = shape.getInt(1),
        width = shape.getInt(2),
        mean = floatsOf(whole.getJSONArray("mean")),
        std = floatsOf(whole.getJSONArray("std")),
        dtype = own.getString("dtype"),
        scale = own.optDouble("scale", 1.0).toFloat(),
        zeroPoint = own.optInt("zero_point", 0),
        takesPixels = !own.isNull("pixels")
    )
}

private fun outputSpecOf(facts: JSONObject): OutputSpec {
    val own = facts.getJSONArray("outputs").getJSONObject(0)
    val shape = own.getJSONArray("shape")
    val size = (0 until shape.length()).fold(1) { product, i -> product * shape.getInt(i) }
    return OutputSpec(
        size,
        own.getString("dtype"),
        own.optDouble("scale", 1.0).toFloat(),
        own.optInt("zero_point", 0)
    )
}

private fun floatsOf(values: JSONArray) = FloatArray(values.length()) { values.getDouble(it).toFloat() }

private fun stringsOf(values: JSONArray) = List(values.length()) { values.getString(it) }

/** A file of the package as it lies there, which it does if it is not compressed. */
private fun mapped(assets: AssetManager, name: String): ByteBuffer =
    assets.openFd(name).use { place ->
        FileInputStream(place.fileDescriptor).use { stream ->
            stream.channel.map(FileChannel.MapMode.READ_ONLY, place.startOffset, place.declaredLength)
        }
    }

private fun sha256(content: ByteBuffer): String {
    val digest = MessageDigest.getInstance("SHA-256")
    digest.update(content.duplicate())
    return digest.digest().joinToString("") { String.format("%02x", it.toInt() and 255) }
}
