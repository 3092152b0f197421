"""What an embedding model needs: clip makers (numpy), preprocessing, tokenizer, weights and the models themselves."""
