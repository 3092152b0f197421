"""LanguageBind: video, pictures, depth, thermal pictures and sound in the space of its language tower."""
