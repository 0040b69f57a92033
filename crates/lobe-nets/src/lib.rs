//! Network architectures, their sites, units and owned parameters; safetensors
