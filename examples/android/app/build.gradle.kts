plugins {
    id("com.android.application")
    id("org.jetbrains.kotlin.android")
}

android {
    namespace = "edgesqueeze.sample"
    compileSdk = 35

    defaultConfig {
        applicationId = "edgesqueeze.sample"
        minSdk = 24 // Android 7
        targetSdk = 35
        versionCode = 1
        versionName = "1.0"
        ndk { abiFilters += listOf("arm64-v8a", "x86_64") }
    }
    // The model is mapped into memory from the package as it lies there.
    androidResources { noCompress += "tflite" }
    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_1_8
        targetCompatibility = JavaVersion.VERSION_1_8
    }
    kotlinOptions { jvmTarget = "1.8" }
}

dependencies {
    // Has org.tensorflow.lite.Interpreter; its own least SDK is 21.
    implementation("com.google.ai.edge.litert:litert:1.4.2")
}
