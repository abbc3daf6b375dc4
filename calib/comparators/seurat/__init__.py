"""What Seurat, MNN and CCA compute inside."""
