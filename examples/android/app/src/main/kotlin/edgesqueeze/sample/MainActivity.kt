package edgesqueeze.sample

import android.app.Activity
import android.content.Intent
import android.graphics.Bitmap
import android.graphics.BitmapFactory
import android.net.Uri
import android.os.Bundle
import android.widget.Button
import android.widget.ImageView
import android.widget.LinearLayout
import android.widget.ScrollView
import android.widget.TextView

private const val CHOOSE = 1
private const val RUNS = 20

/** Chooses an image, and shows it, what the model says of it, and how long one inference took. */
class MainActivity : Activity() {
    private lateinit var text: TextView
    private lateinit var picture: ImageView
    private var model: DeviceModel? = null

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        text = TextView(this)
        picture = ImageView(this)
        picture.adjustViewBounds = true
        val button = Button(this)
        button.text = "Choose an image"
        button.setOnClickListener { choose() }
        val column = LinearLayout(this)
        column.orientation = LinearLayout.VERTICAL
        for (view in listOf(button, picture, text)) column.addView(view)
        val page = ScrollView(this)
        page.addView(column)
        setContentView(page)
        try {
            model = DeviceModel(assets, threads = 1)
            text.text = "${model?.file} is ready"
        } catch (error: Exception) {
            text.text = "The assets hold no bundle that can be used: ${error.message}"
            button.isEnabled = false
        }
    }

    override fun onDestroy() {
        model?.close()
        super.onDestroy()
    }

    private fun choose() {
        val wanted = Intent(Intent.ACTION_GET_CONTENT)
        wanted.type = "image/*"
        startActivityForResult(wanted, CHOOSE)
    }

    override fun onActivityResult(requestCode: Int, resultCode: Int, data: Intent?) {
        super.onActivityResult(requestCode, resultCode, data)
        val image = data?.data
        if (requestCode == CHOOSE && resultCode == RESULT_OK && image != null) Thread { show(image) }.start()
    }

    /** Off the main thread, which must not wait. */
    private fun show(image: Uri) {
        val found = contentResolver.openInputStream(image)?.use { BitmapFactory.decodeStream(it) }
        val ready = model
        val said = when {
            found == null -> "This image cannot be read."
            ready == null -> "There is no model."
            else -> describe(ready, found)
        }
        runOnUiThread {
            if (found != null) picture.setImageBitmap(found)
            text.text = said
        }
    }

    private fun describe(model: DeviceModel, image: Bitmap): String {
        val width = model.input.width
        val height = model.input.height
        val pixels = IntArray(width * height)
        Bitmap.createScaledBitmap(image, width, height, true).getPixels(pixels, 0, width, 0, 0, width, height)
        val answer = synchronized(model) { model.classify(pixels, RUNS) }
        val lines = answer.best.map { (label, score) -> String.format("%s  %.4f", label, score) }
        val time = String.format("%.2f ms, median of %d, one thread (%s)", answer.milliseconds, RUNS, model.file)
        return (lines + time).joinToString("\n")
    }
}
